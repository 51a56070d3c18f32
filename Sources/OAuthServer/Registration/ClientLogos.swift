package import AuthCore
internal import Store

/// The logos of clients (`logo_uri`, RFC 7591 §2), fetched and given out from here: a browser that shows a page of ours asks no other server,
/// which would learn who signs in and when, and could put another picture there for some.
package struct ClientLogos: Sendable {
    /// A picture, and what it is.
    package struct Logo: Sendable, Equatable {
        /// As its first bytes have it, and the server that it came from said so too.
        package let type: String
        package let bytes: [UInt8]
    }

    /// In bytes, of one.
    package static let bytesMax = 131_072
    /// What cannot hold a script; SVG can.
    static let types = ["image/png", "image/jpeg", "image/webp", "image/gif"]

    private let clients: any ClientSource
    private let documents: RemoteDocuments<Logo>
    private let log: Log

    package init(clients: any ClientSource, calls: any OutgoingCalls, environment: Environment, log: Log) {
        self.clients = clients
        self.log = log
        var limits = RemoteDocuments<Logo>.Limits()
        limits.documentBytesMax = ClientLogos.bytesMax
        limits.acceptedTypes = ClientLogos.types
        limits.entriesMax = 128
        limits.bytesMax = 4_194_304
        // A page is whole without its logo: what people need has the threads.
        limits.flightsMax = 4
        limits.waitersMax = 64
        documents = RemoteDocuments(calls: calls, limits: limits, environment: environment) { (answer) throws(OutgoingError) in
            guard let type = ClientLogos.type(of: answer.body), answer.mediaType?.isSameBytes(as: type) == true else {
                throw .contentRefused
            }
            return Logo(type: type, bytes: answer.body)
        }
    }

    /// The logo of a client that people may be sent here by. Nothing when there is none to show, for whatever reason.
    package func logo(of id: Identifier, at now: Instant) async -> Logo? {
        guard id.text.utf8.count <= 2_048 else { return nil }
        do {
            guard let client = try await clients.client(id, keeps: false, at: now), !client.isDisabled,
                client.definition.grants.contains(.authorizationCode), let address = client.definition.metadata.logoURI
            else { return nil }
            do { return try await documents.document(at: try OutgoingURL(address), isStrangers: client.isStrangers).value } catch {
                log(.info, "client_logo_unreachable", [("client", id.text), ("url", address), ("reason", error.rawValue)])
                return nil
            }
        } catch { return nil }
    }

    /// What a picture is by its first bytes; nothing when it is none of those that are shown.
    static func type(of bytes: [UInt8]) -> String? {
        if bytes.starts(with: [0x89, 0x50, 0x4E, 0x47, 0x0D, 0x0A, 0x1A, 0x0A]) { return "image/png" }
        if bytes.starts(with: [0xFF, 0xD8, 0xFF]) { return "image/jpeg" }
        if bytes.starts(with: "GIF87a".utf8) || bytes.starts(with: "GIF89a".utf8) { return "image/gif" }
        let isRIFF = bytes.starts(with: "RIFF".utf8) && bytes.dropFirst(8).starts(with: "WEBP".utf8)
        return isRIFF ? "image/webp" : nil
    }
}
