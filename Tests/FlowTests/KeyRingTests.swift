import AuthCore
import Foundation
import Store
import Testing
import TokenKeys
import TokenVerification

@testable import gatehouse

@Suite("Rings of signing keys: one for access tokens, one for each algorithm of ID tokens")
struct KeyRingTests {
    private func algorithm(of token: String) throws -> String? {
        let bytes = try #require(Base64URL.decode(String(token.prefix { $0 != "." })))
        return try JSONReader.read(bytes).object?["alg"]?.string
    }

    private func published(_ test: TestNode) async -> [String] {
        let keys = await test.send("GET", "/.well-known/jwks.json").json["keys"]?.array ?? []
        return keys.compactMap { $0.object?["alg"]?.string }.sorted()
    }

    @Test("upkeep after the start makes the RSA keys; the key document and the operator's list show every ring")
    func upkeep() async throws {
        let test = try await TestNode.start()
        #expect(test.node.keys.idTokenAlgorithms.map(\.rawValue) == ["ES256", "EdDSA"])
        try await test.node.keys.maintain()
        #expect(test.node.keys.idTokenAlgorithms.map(\.rawValue) == ["RS256", "ES256", "EdDSA"])
        #expect(await published(test) == ["ES256", "ES256", "EdDSA", "EdDSA", "RS256", "RS256"])
        let listed = await test.send("GET", "/admin/keys", to: .control).json["keys"]?.array ?? []
        // Ring by ring; keys of one instant have no order.
        #expect(listed.compactMap { $0.object?["alg"]?.string } == ["ES256", "ES256", "RS256", "RS256", "EdDSA", "EdDSA"])
        #expect(Set(listed.compactMap { "\($0.object?["alg"]?.string ?? "") \($0.object?["state"]?.string ?? "")" }).count == 6)
        #expect(try algorithm(of: await test.login().text("access_token")) == "ES256")
    }

    @Test("JK-04: the operator revokes the key of one ring, and the tokens of the others stay good")
    func revoked() async throws {
        let test = try await TestNode.start()
        try await test.node.keys.maintain()
        let token = await test.login().text("access_token")
        let victim = try #require(test.node.keys.records.first { $0.algorithm == "RS256" && $0.state == .active }?.id)
        #expect(await test.send("POST", "/admin/keys/\(victim)/revoke", Array("{}".utf8), to: .control).status == 200)
        #expect(await test.isValid(token))
        #expect(await published(test) == ["ES256", "ES256", "EdDSA", "EdDSA", "RS256", "RS256"])
        #expect(test.node.keys.published.keySet.key(victim) == nil)
        // The next key of every ring is too young to take over, whatever upkeep adds meanwhile.
        #expect(await test.send("POST", "/admin/keys/rotate", Array("{}".utf8), to: .control).status == 409)
    }

    @Test("a start with another keys.algorithm: tokens before it stay good, new ones have it, as soon as verifiers can know its keys")
    func changedAlgorithm() async throws {
        let first = try await TestNode.start(["--keys.id_token_algorithms", "RS256"])
        let storage = "sqlite:\(first.folder.path)/gatehouse.db"
        let before = await first.login().text("access_token")
        await first.node.close()
        let settings = ["--keys.algorithm", "EdDSA", "--keys.id_token_algorithms", "RS256"]
        let second = try await TestNode(folder: first.folder, storage: storage, settings: settings, resources: nil, clock: first.clock)
        #expect(try algorithm(of: await second.login().text("access_token")) == "ES256")
        try await second.advance(.seconds(303))
        try await second.node.keys.maintain()
        #expect(try algorithm(of: await second.login().text("access_token")) == "EdDSA")
        #expect(await second.isValid(before))
        #expect(await published(second).filter { $0 == "ES256" }.count == 1)
    }

    @Test("a ring that is new signs only when every live node has its keys (JK-03)")
    func acknowledged() async throws {
        let nodes = try await TestNode.cluster(2)
        for node in nodes { try await node.node.follow() }
        try await nodes[0].node.keys.maintain()
        #expect(!nodes[0].node.keys.idTokenAlgorithms.contains(.rs256), "the second node has not read it")
        try await nodes[0].node.follow()
        try await nodes[0].node.keys.maintain()
        #expect(!nodes[0].node.keys.idTokenAlgorithms.contains(.rs256))
        try await nodes[1].node.follow()
        try await nodes[0].node.keys.maintain()
        #expect(nodes[0].node.keys.idTokenAlgorithms.contains(.rs256))
        try await nodes[1].node.follow()
        #expect(nodes[1].node.keys.idTokenAlgorithms.contains(.rs256))
        #expect(nodes[0].node.keys.published.body == nodes[1].node.keys.published.body)
    }
}
