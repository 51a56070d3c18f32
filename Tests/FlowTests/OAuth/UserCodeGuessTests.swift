import AuthCore
import OAuthServer
import Store
import Testing
import TokenKeys

@testable import gatehouse

@Suite("RFC 8628 §5.1 guessing the code of a device (TK-29)")
struct UserCodeGuessTests {
    /// A guess from an address, in a browser whose cookies are known.
    private func guess(
        _ code: String, _ test: TestNode, _ browser: TestBrowser, _ page: TestBrowser.Seen, from peer: String
    ) async -> String {
        let cookie = browser.cookies.map { "\($0.name)=\($0.value)" }.joined(separator: "; ")
        let fields = page.fields.filter { ["interaction", "form"].contains($0.name) } + [(name: "user_code", value: code)]
        let answer = await test.send(
            "POST", "/device", Array(FormParameters(fields).encoded.utf8),
            headers: [("content-type", "application/x-www-form-urlencoded"), ("cookie", cookie)],
            from: PeerAddress(peer) ?? .loopback)
        let html = String(decoding: answer.body, as: UTF8.self)
        return html.contains("Too many attempts") ? "late" : html.contains("No device waits") ? "wrong" : "\(answer.status)"
    }

    @Test("ten wrong ones from one address, whatever the browser; then the right one waits too; another address does not")
    func perSource() async throws {
        let test = try await TestNode.devices()
        let begun = try await TestClient.tv.begin(test)
        var outcomes: [String] = []
        for _ in 0..<12 {
            let browser = TestBrowser(test)
            outcomes.append(await guess("BBBB-BBBB", test, browser, await browser.get("/device"), from: "192.0.2.1"))
        }
        #expect(outcomes == [String](repeating: "wrong", count: 10) + ["late", "late"])
        let browser = TestBrowser(test)
        let page = await browser.get("/device")
        #expect(await guess(begun.text("user_code"), test, browser, page, from: "192.0.2.1") == "late")
        #expect(await guess(begun.text("user_code"), test, browser, page, from: "192.0.2.2") == "303")
        try await test.advance(.seconds(2))
        #expect(await guess(begun.text("user_code"), test, browser, page, from: "192.0.2.1") == "303")
        // The right one has not paid for the next: the failures before it still count.
        try await test.advance(.seconds(2))
        #expect(await guess("BBBB-BBBB", test, browser, page, from: "192.0.2.1") == "wrong")
        #expect(await guess("BBBB-BBBB", test, browser, page, from: "192.0.2.1") == "late")
    }

    @Test("ten wrong ones of one session, whatever the address")
    func perSession() async throws {
        let test = try await TestNode.devices()
        let browser = try await test.authorized().browser
        let page = await browser.get("/device")
        var outcomes: [String] = []
        for number in 0..<12 { outcomes.append(await guess("BBBB-BBBB", test, browser, page, from: "192.0.2.\(number)")) }
        #expect(outcomes == [String](repeating: "wrong", count: 10) + ["late", "late"])
    }

    @Test("of 64 guesses at once as many are looked up as are free (BF-03)")
    func race() async throws {
        let test = try await TestNode.devices()
        let browser = TestBrowser(test)
        let page = await browser.get("/device")
        let outcomes = await withTaskGroup(of: String.self) { group in
            for _ in 0..<64 { group.addTask { await guess("BBBB-BBBB", test, browser, page, from: "192.0.2.1") } }
            return await group.reduce(into: [String: Int]()) { $0[$1, default: 0] += 1 }
        }
        #expect(outcomes == ["wrong": 10, "late": 54])
    }

    @Test("what cannot be a code is no guess")
    func malformed() async throws {
        let test = try await TestNode.devices()
        let begun = try await TestClient.tv.begin(test)
        let browser = TestBrowser(test)
        let page = await browser.get("/device")
        for code in Array(repeating: "AAAA-AAAA", count: 6) + ["", "B", "BBBB-BBBBB", "ВВВВ-ВВВВ", String(repeating: "B", count: 65)] {
            #expect(await guess(code, test, browser, page, from: "192.0.2.1") == "200")
        }
        #expect(await guess(begun.text("user_code"), test, browser, page, from: "192.0.2.1") == "303")
    }
}

@Suite("RFC 8628 with DPoP (RFC 9449 §5)")
struct BoundDeviceTests {
    @Test("a public device that proves a key gets tokens for that key, and its refresh token needs it")
    func bound() async throws {
        let test = try await TestNode.devices()
        let begun = try await TestClient.tv.begin(test)
        try await TestBrowser(test).allow(begun)
        let (device, thief) = (try ProvingClient(), try ProvingClient())
        func proof(_ client: ProvingClient, _ id: String) throws -> [(String, String)] {
            let now = test.clock.now
            let nonce = test.node.oauth.sender.nonce(at: now)
            return [
                ("dpop", try client.proof("POST", "http://localhost:8080/token", token: "", nonce: nonce, id: id, at: now))
            ]
        }
        let tokens = await TestClient.tv.poll(begun, test, headers: try proof(device, "a"))
        #expect(tokens.status == 200 && tokens.text("token_type") == "DPoP", "\(tokens.error ?? "")")
        #expect(try tokens.claims()["cnf"]?.object?["jkt"]?.string == device.jkt)
        let form = [("grant_type", "refresh_token"), ("refresh_token", tokens.text("refresh_token"))]
        #expect(await TestClient.tv.token(test, form).error == "invalid_grant")
        #expect(await TestClient.tv.token(test, form, headers: try proof(thief, "b")).error == "invalid_grant")
        #expect(await TestClient.tv.token(test, form, headers: try proof(device, "c")).status == 200)
    }
}
