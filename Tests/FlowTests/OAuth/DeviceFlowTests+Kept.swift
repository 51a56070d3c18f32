import AuthCore
import Foundation
import OAuthServer
import Testing

@testable import gatehouse

// How early a poll may be, and what a thief of the database has of a device.
extension DeviceFlowTests {
    @Test("RFC 8628 §3.5: a poll that comes up to a second early is in time, one that comes earlier is not")
    func early() async throws {
        let test = try await TestNode.devices()
        for (milliseconds, error) in [
            (4_500, "authorization_pending"), (4_000, "authorization_pending"), (3_999, "slow_down"), (3_500, "slow_down"),
        ] {
            let begun = try await TestClient.tv.begin(test)
            #expect(await TestClient.tv.poll(begun, test).error == "authorization_pending")
            try await test.advance(.milliseconds(milliseconds))
            #expect(await TestClient.tv.poll(begun, test).error == error, "after \(milliseconds) ms")
        }
    }

    @Test("RFC 8628 §5.2: no file of the store has a device code, while it waits, when it is allowed, or when it is used up")
    func atRest() async throws {
        let test = try await TestNode.devices()
        let (waiting, allowed, used) = (
            try await TestClient.tv.begin(test), try await TestClient.tv.begin(test), try await TestClient.tv.begin(test)
        )
        for begun in [allowed, used] { try await TestBrowser(test).allow(begun) }
        #expect(await TestClient.tv.poll(waiting, test).error == "authorization_pending")
        #expect(await TestClient.tv.poll(used, test).status == 200)
        let files = try FileManager.default.contentsOfDirectory(at: test.folder, includingPropertiesForKeys: nil)
            .filter { !["master.key", "resources.yaml"].contains($0.lastPathComponent) }.map { try Data(contentsOf: $0) }
        for begun in [waiting, allowed, used] {
            let code = begun.text("device_code")
            try #require(code.utf8.count >= 40)
            let random = Data(Base64URL.decode(String(code.dropFirst(4))) ?? [])
            try #require(random.count == 32)
            for file in files { #expect(file.range(of: Data(code.utf8)) == nil && file.range(of: random) == nil) }
        }
        // Its hash would be found.
        let hash = Base64URL.encode(TokenHash(of: waiting.text("device_code").utf8).bytes)
        #expect(files.contains { $0.range(of: Data(hash.utf8)) != nil })
    }
}
