import AuthCore
import Foundation
import OAuthServer
import Testing
import WebServer

@testable import gatehouse

@Suite("CK-09: pages of other origins", .timeLimit(.minutes(1)))
struct CrossOriginTests {
    private static let origin = "https://spa.example.com"
    private static let foreign = [
        "https://evil.example", "null", "https://spa.example.com.evil.example", "https://spa.example.com:8443", "http://spa.example.com",
        "https://SPA.example.com", "https://spa.example.com/", "https://xspa.example.com", "https://shop.example.com", "file://", "*", "",
        "https://spa.example.com https://evil.example",
    ]

    private func node() async throws -> TestNode {
        let more =
            #"  - {id: spa, public: true, grants: [authorization_code], redirect_uris: ["https://spa.example.com/cb"], scopes: [openid]}"#
        let resources = TestNode.oauthResources.replacingOccurrences(of: "resources:\n", with: more + "\nresources:\n")
        return try await TestNode.start(resources: resources)
    }

    private func preflight(_ test: TestNode, _ path: String, _ origin: String, method: String = "POST") async -> Answer {
        await test.send(
            "OPTIONS", path,
            headers: [
                ("origin", origin), ("access-control-request-method", method), ("access-control-request-headers", "content-type,dpop"),
            ])
    }

    @Test(
        "an origin of a public client's redirect URIs may call what such a client calls; without cookies, and reads nonces and challenges")
    func allowed() async throws {
        let test = try await node()
        for path in ["/token", "/par", "/revoke", "/userinfo"] {
            let asked = await preflight(test, path, Self.origin)
            #expect(asked.status == 204 && asked.header("access-control-allow-origin") == Self.origin, "\(path)")
            #expect(asked.header("access-control-allow-methods")?.contains("POST") == true)
            #expect(asked.header("access-control-allow-headers")?.contains("dpop") == true)
            #expect(asked.header("access-control-allow-credentials") == nil && asked.header("vary")?.contains("Origin") == true)
            let answer = await test.send(
                "POST", path, headers: [("origin", Self.origin), ("content-type", "application/x-www-form-urlencoded")])
            #expect(answer.header("access-control-allow-origin") == Self.origin && answer.header("vary") == "Origin", "\(path)")
            #expect(answer.header("access-control-expose-headers")?.contains("dpop-nonce") == true)
            #expect(answer.header("access-control-allow-credentials") == nil)
        }
    }

    @Test("CVE-2024-41657: no other origin is ever named, whatever it looks like; a confidential client's is none")
    func foreign() async throws {
        let test = try await node()
        for origin in Self.foreign {
            let asked = await preflight(test, "/token", origin)
            #expect(asked.header("access-control-allow-origin") == nil, "\(origin)")
            let answer = await test.send(
                "POST", "/token", headers: [("origin", origin), ("content-type", "application/x-www-form-urlencoded")])
            #expect(answer.header("access-control-allow-origin") == nil && answer.header("vary") == "Origin", "\(origin)")
        }
        // Two of them are none.
        let twice = await test.send("POST", "/token", headers: [("origin", Self.origin), ("origin", Self.origin)])
        #expect(twice.header("access-control-allow-origin") == nil)
    }

    @Test("AZ-22: no page, and nothing of the JSON API, is for other origins; keys and metadata are for all")
    func pages() async throws {
        let test = try await node()
        for endpoint in test.shells.authRows where !["/token", "/par", "/revoke", "/userinfo"].contains(endpoint.path) {
            guard !endpoint.path.contains("{") else { continue }
            let asked = await preflight(test, endpoint.path, Self.origin, method: endpoint.method)
            #expect(asked.header("access-control-allow-origin") == nil, "\(endpoint.path)")
            let answer = await test.send(endpoint.method, endpoint.path, headers: [("origin", Self.origin)])
            let isPublic = endpoint.path.hasPrefix("/.well-known/")
            #expect(answer.header("access-control-allow-origin") == (isPublic ? "*" : nil), "\(endpoint.method) \(endpoint.path)")
        }
    }
}
