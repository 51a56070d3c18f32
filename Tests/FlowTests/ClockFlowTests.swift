import AuthCore
import Testing

@Suite("The wall clock jumps (R-7)")
struct ClockFlowTests {
    @Test("what was ended stays ended when the clock jumps and comes back", arguments: [3_600, -3_600, 315_360_000, -86_400])
    func jumps(_ seconds: Int64) async throws {
        let test = try await TestNode.start()
        let (ended, replayed) = (await test.login(), await test.login())
        #expect(await test.logout(ended.text("refresh_token")).status == 204)
        let second = await test.refresh(replayed.text("refresh_token"))
        _ = await test.refresh(second.text("refresh_token"))
        #expect(await test.refresh(replayed.text("refresh_token")).status == 401, "a replay revokes the grant")
        for jump in [Duration.seconds(seconds), .zero] {
            test.clock.jump(to: jump)
            // The log is followed, and a new token is verified: both forget what is over.
            try await test.advance(.seconds(1))
            #expect(await test.isValid(await test.login("bob").text("access_token")))
            for answer in [ended, replayed, second] {
                #expect(await !test.isValid(answer.text("access_token")))
                #expect(await test.refresh(answer.text("refresh_token")).status == 401)
            }
        }
    }

    @Test("what was ended is forgotten when its tokens have really expired")
    func forgotten() async throws {
        let test = try await TestNode.start()
        #expect(await test.logout(await test.login().text("refresh_token")).status == 204)
        #expect(await known(test) == 2)
        // Ahead for so long that it is the time.
        test.clock.jump(to: .seconds(86_400))
        try await test.advance(.seconds(60))
        #expect(await known(test) == 2)
        try await test.advance(ForgettingTime.doubtTime + .seconds(60))
        #expect(await known(test) == 0)
    }

    /// How many revocations are held, as the metrics tell it.
    private func known(_ test: TestNode) async -> Int? {
        let text = String(decoding: await test.send("GET", "/metrics", to: .admin).body, as: UTF8.self)
        return text.split(separator: "\n").first { $0.hasPrefix("gatehouse_revocations ") }.flatMap { Int($0.split(separator: " ")[1]) }
    }
}
