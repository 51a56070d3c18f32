import AuthCore
import Foundation
import OAuthServer
import PostgresServer
import Store
import TestSupport
import Testing
import TokenKeys

@testable import gatehouse

extension TestNode {
    static let deviceResources = oauthResources.replacing(
        "resources:\n",
        with: """
              - {id: tv, public: true, client_name: "The <TV>", grants: [device_code, refresh_token],
                 scopes: [openid, offline_access, "orders:read", "orders:write"]}
              - {id: box, secret: 0123456789abcdef0123456789abcdef, grants: [device_code], scopes: ["orders:read"]}
            resources:

            """)

    static func devices(postgres: Bool = false) async throws -> TestNode {
        let test: TestNode
        if postgres {
            let folder = FileManager.default.temporaryDirectory.appendingPathComponent("gatehouse-flow-\(UUID().uuidString)")
            try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
            let uri = try await onThread { try PostgresServer.shared().newSchema() }
            try Data(uri.utf8).write(to: folder.appendingPathComponent("storage"))
            let key = Base64URL.encode(Environment.live.randomBytes(32))
            try Data(key.utf8).write(to: folder.appendingPathComponent("master.key"))
            test = try await TestNode(
                folder: folder, storage: "file:\(folder.path)/storage", settings: ["--storage_connections", "4"],
                resources: deviceResources)
        } else {
            test = try await start(resources: deviceResources)
        }
        try await test.node.keys.maintain()
        return test
    }
}

extension TestClient {
    static let tv = TestClient(id: "tv")
    static let box = TestClient(id: "box", secret: "0123456789abcdef0123456789abcdef")
    static let deviceGrant = "urn:ietf:params:oauth:grant-type:device_code"

    func begin(_ test: TestNode, _ more: [(String, String)] = [("scope", "openid orders:read")]) async throws -> Answer {
        let begun = await post(test, "/device_authorization", more)
        try #require(begun.status == 200, "\(begun.error ?? "") \(begun.text("error_description"))")
        return begun
    }

    func poll(_ begun: Answer, _ test: TestNode, _ more: [(String, String)] = [], headers: [(String, String)] = []) async -> Answer {
        await token(
            test, [("grant_type", TestClient.deviceGrant), ("device_code", begun.text("device_code"))] + more, headers: headers)
    }
}

extension TestBrowser {
    /// The page that comes after the code was typed.
    func enter(_ code: String) async -> Seen { await submit(await get("/device"), [("user_code", code)]) }

    /// The page that asks alice to allow the device.
    func asked(_ begun: Answer, _ username: String = "alice") async throws -> Seen {
        var seen = await enter(begun.text("user_code"))
        if seen.title.hasPrefix("Sign in") { seen = await signIn(seen, username) }
        try #require(seen.title == "Allow this device", "\(seen.title)")
        return seen
    }

    /// Alice allows it.
    func allow(_ begun: Answer, _ username: String = "alice") async throws {
        #expect(await submit(try await asked(begun, username), [("answer", "allow")]).title == "Device connected")
    }
}
