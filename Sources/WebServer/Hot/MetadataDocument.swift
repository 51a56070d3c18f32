package import AuthCore
package import OAuthServer
internal import Synchronization

/// The metadata of both well-known addresses (RFC 8414 §3, OpenID Connect Discovery §4), made once for each state of resources and keys.
package final class MetadataDocument: Sendable {
    package static let paths = ["/.well-known/openid-configuration", "/.well-known/oauth-authorization-server"]

    /// What the document is made from.
    private struct State: Sendable, Equatable {
        let resources: Int64
        let keys: String
    }

    private let server: OAuthServer
    private let resources: @Sendable () -> Int64
    private let made = Mutex<(state: State, body: [UInt8])?>(nil)

    /// - Parameter resources: The number of the state of the resources that this node holds.
    package init(server: OAuthServer, resources: @escaping @Sendable () -> Int64) {
        self.server = server
        self.resources = resources
    }

    package static func isPath(_ path: ArraySlice<UInt8>) -> Bool { paths.contains { path.elementsEqual($0.utf8) } }

    /// The document if it is made; nothing when `respond` has to make it.
    package var held: ResponseFacts? {
        let state = state
        return made.withLock { $0 }.flatMap { $0.state == state ? MetadataDocument.response($0.body) : nil }
    }

    func respond() async throws(OAuthError) -> ResponseFacts {
        let state = state
        let body = JSONValue.object(try await server.metadata()).encoded
        made.withLock { $0 = (state, body) }
        return MetadataDocument.response(body)
    }

    private var state: State { State(resources: resources(), keys: server.keysTag) }

    private static func response(_ body: [UInt8]) -> ResponseFacts {
        ResponseFacts(
            status: 200,
            headers: [
                ("content-type", "application/json"), ("cache-control", "public, max-age=300"), ("access-control-allow-origin", "*"),
            ], body: body)
    }
}
