import AuthCore
import Crypto
import Foundation
import HTTPEdge
import NIOCore
import NIOPosix
import NIOSSL
import Synchronization
import TestSupport
import Testing

@Suite("RFC 8705 §2: client certificates in the handshake")
struct ClientCertificateHandshakeTests {
    static let group = MultiThreadedEventLoopGroup(numberOfThreads: 2)
    static let get = "GET / HTTP/1.1\r\nHost: h\r\n\r\n"

    /// Answers with what is known of the client's certificate.
    static let told = Scripted { request in
        guard let found = request.clientCertificate else { return .answer(ResponseFacts(status: 200, body: Array("none".utf8))) }
        return .answer(ResponseFacts(status: 200, body: Array("\(found.isVerified ? "verified" : "unverified") \(found.thumbprint)".utf8)))
    }

    /// A TLS listener and the files it was made of.
    final class Listener: Sendable {
        let files: [String]
        let tls: EdgeTLS
        let server: EdgeServer
        private let told: Told

        init(_ mode: ClientCertificateMode, authority: String?) async throws {
            let certificate = try TestCertificates.file(TestCertificates.oneCertificate)
            let key = try TestCertificates.file(TestCertificates.oneKey)
            let ca = try authority.map { try TestCertificates.file($0) }
            files = [certificate, key] + (ca.map { [$0] } ?? [])
            let told = Told()
            tls = try EdgeTLS(EdgeTLS.Files(certificate: certificate, key: key, clientCA: ca), clients: mode) { error, peer in
                told.append("\(error.rawValue) \(peer)")
            }
            self.told = told
            let core = EdgeCore(responder: ClientCertificateHandshakeTests.told, limits: EdgeLimits(), environment: .live)
            server = try await EdgeServer.start(
                .tcp(host: "127.0.0.1", port: 0), tls: tls, core: core, group: ClientCertificateHandshakeTests.group)
        }

        var refused: [String] { told.all }
        var port: Int { server.port ?? 0 }

        /// What the client is told; nothing when the handshake fails.
        func ask(
            _ identity: TestAuthority.Identity?, _ version: TLSVersion = .tlsv13, _ change: (inout TLSConfiguration) -> Void = { _ in }
        ) async -> String? {
            do {
                let client = try await RawClient.connect(port, trusting: TestCertificates.oneCertificate) {
                    ($0.minimumTLSVersion, $0.maximumTLSVersion) = (version, version)
                    // Neither side waits for the other's end of TLS.
                    $0.shutdownTimeout = .milliseconds(1)
                    identity?.show(&$0)
                    change(&$0)
                }
                let text = try await client.ask(ClientCertificateHandshakeTests.get).text
                await client.close()
                return text
            } catch {
                return nil
            }
        }

        func stop() async {
            for file in files { unlink(file) }
            await server.shutdown(within: .seconds(1))
        }
    }

    /// Lines from several threads.
    final class Told: Sendable {
        private let list = Mutex<[String]>([])
        func append(_ text: String) { list.withLock { $0.append(text) } }
        var all: [String] { list.withLock { $0 } }
    }

    private static func thumbprint(_ identity: TestAuthority.Identity) throws -> String {
        try ClientCertificate(der: identity.der, isVerified: false).thumbprint
    }

    /// What is shown, and why it is not verified; nothing when it is.
    struct Shown: Sendable, CustomTestStringConvertible {
        var testDescription: String
        var identity: TestAuthority.Identity
        var failure: ClientCertificateError?
    }

    struct World: Sendable {
        let authority: TestAuthority
        let shown: [Shown]

        init() throws {
            let authority = try TestAuthority()
            let (stranger, below) = (try TestAuthority(), try TestAuthority("Below", below: authority))
            let noAuthority = try TestAuthority("No CA", below: authority, isAuthority: false)
            let (one, two) = (try TestAuthority("One", below: authority), try TestAuthority("Two"))
            self.authority = authority
            func row(_ name: String, _ failure: ClientCertificateError?, _ identity: TestAuthority.Identity) -> Shown {
                Shown(testDescription: name, identity: identity, failure: failure)
            }
            shown = [
                row("a good one", nil, try authority.issue(.init("client"))),
                row("one without usages", nil, try authority.issue(.init("client") { $0.signs = nil })),
                row("one of an authority below", nil, try below.issue(.init("client"), showing: [below])),
                row("as many certificates as may be", nil, try below.issue(.init("c"), showing: [below, stranger, one, two])),
                row("one certificate more", .tooLarge, try below.issue(.init("c"), showing: [below, stranger, one, two, noAuthority])),
                row("one of an authority below that is not shown", .unknownIssuer, try below.issue(.init("client"))),
                row("one of an issuer that is no authority", .unknownIssuer, try noAuthority.issue(.init("c"), showing: [noAuthority])),
                // The same name as ours, another key.
                row("one of another authority", .unknownIssuer, try stranger.issue(.init("client"))),
                row("one of another authority, with ours shown", .unknownIssuer, try stranger.issue(.init("c"), showing: [authority])),
                row("one that signed itself", .unknownIssuer, try TestAuthority.selfSigned(.init("client"))),
                row("one that has run out", .expired, try authority.issue(.init("client") { $0.validTo = -60 })),
                row("one from tomorrow", .notYetValid, try authority.issue(.init("client") { $0.validFrom = 600 })),
                row("one for servers alone", .wrongUsage, try authority.issue(.init("client") { $0.isServerOnly = true })),
                row("one with a blank in a name", .malformed, try authority.issue(.init("client") { $0.emails = ["a b@example.com"] })),
                row("one with a NUL in a name", .malformed, try authority.issue(.init("c") { $0.dnsNames = ["a.example\0.evil.example"] })),
                row(
                    "a huge one", .tooLarge,
                    try authority.issue(.init("client") { wish in wish.dnsNames = (0..<1_000).map { "client-\($0).example.com" } })),
            ]
        }
    }

    static let world = Result { try World() }

    @Test(
        "verified: none need be shown, one that chains passes, any other fails the handshake and says why",
        arguments: [TLSVersion.tlsv12, .tlsv13])
    func verified(_ version: TLSVersion) async throws {
        let world = try Self.world.get()
        let listener = try await Listener(.verified, authority: world.authority.certificate)
        #expect(await listener.ask(nil, version) == "none")
        for shown in world.shown {
            let before = listener.refused.count
            let answer = await listener.ask(shown.identity, version)
            if let failure = shown.failure {
                #expect(answer == nil, "\(shown.testDescription)")
                #expect(listener.refused.dropFirst(before) == ["\(failure.rawValue) 127.0.0.1"], "\(shown.testDescription)")
            } else {
                #expect(answer == "verified \(try Self.thumbprint(shown.identity))", "\(shown.testDescription)")
                #expect(listener.refused.count == before)
            }
        }
        let counted = listener.server.counters.snapshot.certificatesRefused
        #expect(counted.reduce(0) { $0 + $1.count } == world.shown.count { $0.failure != nil })
        #expect(counted.first { $0.reason == "expired" }?.count == 1)
        await listener.stop()
    }

    @Test("any: one that does not chain passes as unverified, unless it cannot be read", arguments: [TLSVersion.tlsv12, .tlsv13])
    func any(_ version: TLSVersion) async throws {
        let world = try Self.world.get()
        let listener = try await Listener(.any, authority: world.authority.certificate)
        #expect(await listener.ask(nil, version) == "none")
        for shown in world.shown {
            let answer = await listener.ask(shown.identity, version)
            switch shown.failure {
            case nil: #expect(answer == "verified \(try Self.thumbprint(shown.identity))", "\(shown.testDescription)")
            case .tooLarge, .malformed: #expect(answer == nil, "\(shown.testDescription)")
            default: #expect(answer == "unverified \(try Self.thumbprint(shown.identity))", "\(shown.testDescription)")
            }
        }
        await listener.stop()
    }

    @Test("any without a CA verifies nothing; none asks for nothing")
    func withoutAuthority() async throws {
        let world = try Self.world.get()
        let good = world.shown[0].identity
        let any = try await Listener(.any, authority: nil)
        #expect(await any.ask(good) == "unverified \(try Self.thumbprint(good))")
        await any.stop()
        let none = try await Listener(.none, authority: nil)
        #expect(await none.ask(good) == "none")
        await none.stop()
    }

    /// Signs what it is asked to, with a key of its own.
    private struct OtherKey: NIOSSLCustomPrivateKey, Hashable {
        let signatureAlgorithms: [SignatureAlgorithm] = [.ecdsaSecp256R1Sha256]
        let derBytes: [UInt8] = []

        func sign(channel: any Channel, algorithm: SignatureAlgorithm, data: ByteBuffer) -> EventLoopFuture<ByteBuffer> {
            channel.eventLoop.makeCompletedFuture {
                ByteBuffer(bytes: try P256.Signing.PrivateKey().signature(for: Array(data.readableBytesView)).derRepresentation)
            }
        }

        func decrypt(channel: any Channel, data: ByteBuffer) -> EventLoopFuture<ByteBuffer> {
            channel.eventLoop.makeFailedFuture(NIOSSLError.failedToLoadPrivateKey)
        }
    }

    @Test(
        "a client that shows a certificate without its key, or whose key may not sign, fails the handshake in each mode",
        arguments: [ClientCertificateMode.verified, .any])
    func withoutKey(_ mode: ClientCertificateMode) async throws {
        let world = try Self.world.get()
        let listener = try await Listener(mode, authority: world.authority.certificate)
        let good = world.shown[0].identity
        for version in [TLSVersion.tlsv12, .tlsv13] {
            #expect(await listener.ask(good, version) != nil)
            let stolen = await listener.ask(good, version) { $0.privateKey = .privateKey(NIOSSLPrivateKey(customPrivateKey: OtherKey())) }
            #expect(stolen == nil)
            let usage = try world.authority.issue(.init("client") { $0.signs = false })
            #expect(await listener.ask(usage, version) == nil)
        }
        await listener.stop()
    }

    @Test("an authority is read again with the certificate; a faulty one leaves the old in force")
    func reload() async throws {
        let (old, new) = (try TestAuthority("Old"), try TestAuthority("New"))
        let (ofOld, ofNew) = (try old.issue(.init("a")), try new.issue(.init("b")))
        let listener = try await Listener(.verified, authority: old.certificate)
        let kept = try await RawClient.connect(listener.port, trusting: TestCertificates.oneCertificate) {
            $0.shutdownTimeout = .milliseconds(1)
            ofOld.show(&$0)
        }
        #expect(try await kept.ask(Self.get).text == "verified \(try Self.thumbprint(ofOld))")
        #expect(await listener.ask(ofNew) == nil)
        for faulty in ["", "nonsense", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"] {
            try TestCertificates.write(faulty, to: listener.files[2])
            #expect(throws: EdgeServerError.self) { try listener.tls.reload() }
            #expect(await listener.ask(ofOld) != nil)
        }
        try TestCertificates.write(new.certificate, to: listener.files[2])
        try listener.tls.reload()
        #expect(await listener.ask(ofNew) == "verified \(try Self.thumbprint(ofNew))")
        #expect(await listener.ask(ofOld) == nil)
        #expect(try await kept.ask(Self.get).text == "verified \(try Self.thumbprint(ofOld))")
        await kept.close()
        await listener.stop()
    }

    @Test("a CA that cannot be read, or has no certificate, is no listener, rather than one that asks less (CVE-2026-27586)")
    func badAuthority() throws {
        let certificate = try TestCertificates.file(TestCertificates.oneCertificate)
        let key = try TestCertificates.file(TestCertificates.oneKey)
        let (empty, nonsense) = (try TestCertificates.file(""), try TestCertificates.file("nonsense"))
        for ca in [empty, nonsense, "/none", key] {
            for mode in [ClientCertificateMode.verified, .any] {
                #expect(throws: EdgeServerError.self) {
                    try EdgeTLS(EdgeTLS.Files(certificate: certificate, key: key, clientCA: ca), clients: mode)
                }
            }
        }
        #expect(throws: EdgeServerError.self) { try EdgeTLS(EdgeTLS.Files(certificate: certificate, key: key), clients: .verified) }
        for file in [certificate, key, empty, nonsense] { unlink(file) }
    }

    /// `openssl s_client` keeps sessions; NIOSSL's client does not.
    private func openssl(_ port: Int, _ arguments: [String]) async throws -> String {
        try await onThread { try Self.run(port, arguments) }
    }

    private static func run(_ port: Int, _ arguments: [String]) throws -> String {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = ["timeout", "20", "openssl", "s_client", "-connect", "127.0.0.1:\(port)", "-ign_eof"] + arguments
        let (input, output) = (Pipe(), Pipe())
        (process.standardInput, process.standardOutput, process.standardError) = (input, output, output)
        try process.run()
        try input.fileHandleForWriting.write(contentsOf: Data("GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n".utf8))
        try input.fileHandleForWriting.close()
        let told = try output.fileHandleForReading.readToEnd() ?? Data()
        process.waitUntilExit()
        return String(decoding: told, as: UTF8.self)
    }

    @Test("a session is never resumed where certificates are asked for: each handshake is judged anew", arguments: ["-tls1_2", "-tls1_3"])
    func resumption(_ version: String) async throws {
        let world = try Self.world.get()
        let good = world.shown[0].identity
        let (certificate, key) = (try TestCertificates.file(good.certificate), try TestCertificates.file(good.key))
        let session = try TestCertificates.file("")
        for (mode, isResumed) in [(ClientCertificateMode.none, true), (.verified, false), (.any, false)] {
            let listener = try await Listener(mode, authority: mode == .none ? nil : world.authority.certificate)
            let shows = mode == .none ? [] : ["-cert", certificate, "-key", key]
            let expected = mode == .none ? "none" : "verified \(try Self.thumbprint(good))"
            let first = try await openssl(listener.port, [version, "-sess_out", session] + shows)
            #expect(first.contains("New, TLS") && first.contains(expected))
            let second = try await openssl(listener.port, [version, "-sess_in", session] + shows)
            #expect(second.contains("Reused, TLS") == isResumed, "\(second)")
            #expect(second.contains(expected))
            // Whoever has got hold of the session, and not of the key, is nobody.
            let stolen = try await openssl(listener.port, [version, "-sess_in", session])
            #expect(!stolen.contains("verified "))
            await listener.stop()
        }
        for file in [certificate, key, session] { unlink(file) }
    }
}
