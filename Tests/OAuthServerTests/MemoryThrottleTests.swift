import AuthCore
import Store
import Testing

@testable import OAuthServer

private let start = Instant(seconds: 1_700_000_000)

private func key(_ name: String) -> MemoryThrottle.Key { MemoryThrottle.Key(Identifier(name)) }

@Suite("Failures that are counted in memory")
struct MemoryThrottleTests {
    private let rule = LockoutRule(freeAttempts: 3, delay: .seconds(1), delayMax: .seconds(60), window: .seconds(3_600))

    /// Fails so often that the key waits.
    private func limit(_ table: MemoryThrottle, _ key: MemoryThrottle.Key, at now: Instant) {
        for _ in 0..<3 { #expect(table.failed(key, at: now) != .uncounted) }
    }

    @Test("the free ones, then waits that double, each key for itself; a success ends them, and so does the window")
    func growth() {
        let table = MemoryThrottle(rule)
        #expect(table.failed(key("a"), at: start) == .counted(limit: nil))
        #expect(table.failed(key("a"), at: start) == .counted(limit: nil))
        #expect(table.wait(key("a"), at: start) == nil)
        #expect(table.failed(key("a"), at: start) == .counted(limit: .seconds(1)))
        #expect(table.wait(key("a"), at: start) == .seconds(1))
        #expect(table.failed(key("a"), at: start) == .limited(.seconds(1)))
        #expect(table.wait(key("b"), at: start) == nil)
        let later = start + .seconds(1)
        #expect(table.wait(key("a"), at: later) == nil)
        #expect(table.failed(key("a"), at: later) == .counted(limit: .seconds(2)))
        table.succeeded(key("a"))
        #expect(table.wait(key("a"), at: later) == nil)
        #expect(table.failed(key("a"), at: later) == .counted(limit: nil))
        limit(table, key("c"), at: start)
        #expect(table.failed(key("c"), at: start + .seconds(3_601)) == .counted(limit: nil))
    }

    @Test("the same failure again is counted once, among the last four; another one is not")
    func repeated() {
        let table = MemoryThrottle(rule)
        for _ in 0..<100 { #expect(table.failed(key("a"), seen: 7, at: start) != .limited(.seconds(1))) }
        #expect(table.wait(key("a"), at: start) == nil)
        #expect(table.failed(key("a"), seen: 8, at: start) == .counted(limit: nil))
        #expect(table.failed(key("a"), seen: 7, at: start) == .repeated)
        #expect(table.failed(key("a"), seen: 9, at: start) == .counted(limit: .seconds(1)))
        // While it waits nothing is looked at, so nothing is said of it either.
        #expect(table.failed(key("a"), seen: 7, at: start) == .limited(.seconds(1)))
    }

    @Test("a table that is full of keys that wait takes no other one, and lets none of them go before its window is over")
    func full() {
        let table = MemoryThrottle(rule, entriesMax: 64)
        let limited = (0..<2_000).map { key("limited \($0)") }.filter { key in
            let isCounted = table.failed(key, at: start) != .uncounted
            if isCounted { for _ in 0..<2 { _ = table.failed(key, at: start) } }
            return isCounted
        }
        #expect(table.count == 64 && limited.count == 64)
        #expect(limited.allSatisfy { table.wait($0, at: start) != nil })
        for number in 0..<2_000 { #expect(table.failed(key("new \(number)"), at: start + .seconds(10)) == .uncounted) }
        #expect(table.uncounted == 2_000 + 2_000 - 64)
        // Their wait is over, and they are not forgotten: the next failure of each begins a longer one.
        #expect(table.count == 64)
        #expect(limited.allSatisfy { table.failed($0, at: start + .seconds(10)) == .counted(limit: .seconds(2)) })
        // An hour later their place is free.
        #expect(table.failed(key("new"), at: start + .seconds(3_700)) == .counted(limit: nil))
    }

    @Test("where there is no room, one that has not used up its free attempts goes first")
    func room() {
        let table = MemoryThrottle(rule, entriesMax: 64)
        limit(table, key("limited"), at: start)
        for number in 0..<5_000 { #expect(table.failed(key("other \(number)"), at: start) == .counted(limit: nil)) }
        #expect(table.count <= 64 && table.uncounted == 0)
        #expect(table.wait(key("limited"), at: start) != nil)
    }

    @Test("so many in a minute, then none until it is over; a clock that is set back keeps nobody out for longer")
    func perMinute() {
        let table = MemoryThrottle(.perMinute(5))
        for _ in 0..<5 { #expect(table.wait(key("a"), at: start) == nil && table.failed(key("a"), at: start) != .limited(.zero)) }
        #expect(table.failed(key("a"), at: start + .seconds(59)) == .limited(.seconds(1)))
        #expect(table.wait(key("a"), at: start - .seconds(86_400)) == .seconds(60))
        #expect(table.failed(key("a"), at: start + .seconds(60)) == .counted(limit: nil))
    }

    @Test("of 64 failures at once exactly the free ones are counted")
    func race() async {
        let table = MemoryThrottle(rule)
        let counted = await withTaskGroup(of: Bool.self) { group in
            for _ in 0..<64 {
                group.addTask { if case .counted = table.failed(key("a"), at: start) { true } else { false } }
            }
            return await group.reduce(0) { $0 + ($1 ? 1 : 0) }
        }
        #expect(counted == 3)
    }
}

@Suite("CA-14: guesses at the secrets of clients (RFC 6749 §2.3.1, §10.10)")
struct ClientGuessesTests {
    private let here = PeerAddress(v4: 0xC000_0201)
    private let elsewhere = PeerAddress(v4: 0xC000_0202)

    private func guess(_ guesses: ClientGuesses, _ client: Identifier, _ number: Int, from address: PeerAddress) -> Bool {
        if guesses.wait(client, from: address, at: start) != nil { return false }
        return guesses.wrong(client, Secret("wrong \(number)"), from: address, at: start) == nil
    }

    @Test("five of a client from one address; neither another address nor another client waits for them")
    func pairs() {
        let guesses = ClientGuesses()
        #expect((0..<20).map { guess(guesses, "shop", $0, from: here) }.count { $0 } == 5)
        #expect(guesses.wait("shop", from: here, at: start) == .seconds(1))
        #expect(guesses.wait("shop", from: elsewhere, at: start) == nil)
        #expect(guesses.wait("billing", from: here, at: start) == nil)
    }

    @Test("fifty of an address over all clients; then it waits for every client but one that has proved itself from there")
    func addresses() {
        let guesses = ClientGuesses()
        guesses.right("shop", from: here)
        #expect((0..<200).map { guess(guesses, Identifier("client \($0)"), $0, from: here) }.count { $0 } == 50)
        #expect(guesses.wait("billing", from: here, at: start) != nil)
        #expect(guesses.wait("shop", from: here, at: start) == nil)
        #expect(guesses.wait("billing", from: elsewhere, at: start) == nil)
        // The client that is known there has its own count.
        #expect((0..<20).map { guess(guesses, "shop", $0, from: here) }.count { $0 } == 5)
    }

    @Test("the addresses of one /64 are one, those of two are two")
    func prefixes() throws {
        let guesses = ClientGuesses()
        let host = try #require(PeerAddress("2001:db8::1"))
        #expect((0..<9).map { guess(guesses, "shop", $0, from: host) }.count { $0 } == 5)
        #expect(guesses.wait("shop", from: try #require(PeerAddress("2001:db8::ffff:1")), at: start) != nil)
        #expect(guesses.wait("shop", from: try #require(PeerAddress("2001:db8:0:1::1")), at: start) == nil)
    }

    @Test("whoever has an old secret may send it as often as they like; a success ends what was counted")
    func repeated() {
        let guesses = ClientGuesses()
        for _ in 0..<1_000 { #expect(guess(guesses, "shop", 1, from: here)) }
        for number in 2..<5 { #expect(guess(guesses, "shop", number, from: here)) }
        guesses.right("shop", from: here)
        for number in 5..<10 { #expect(guess(guesses, "shop", number, from: here)) }
        #expect(!guess(guesses, "shop", 10, from: here))
    }
}
