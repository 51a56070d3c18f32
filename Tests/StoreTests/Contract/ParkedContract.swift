import AuthCore
import Store
import Testing

@Suite("Contract: what waits for its second step, and what counts once (RFC 9126, RFC 8628, RFC 7523 §3)")
struct ParkedContract {
    private func record(
        _ id: Identifier, _ kind: Parked.Kind = .device, _ value: String = "a", version: Int64 = 0, until: Instant
    ) -> Parked {
        Parked(
            kind: kind, id: id, clientID: "web", value: JSONObject([("state", .string(value))]), version: version, expiresAt: until)
    }

    @Test("what is parked is found under its kind and id until it expires, and taken once", arguments: StoreKind.allCases)
    func parks(_ kind: StoreKind) async throws {
        let test = try await kind.open()
        let until = test.now + .seconds(60)
        let both = [record("d", until: until), record("u", .userCode, until: until)]
        #expect(try await test.store.park(both, at: test.now))
        #expect(try await test.store.parked(.device, "d", at: test.now) == both[0])
        #expect(try await test.store.parked(.userCode, "u", at: test.now) == both[1])
        #expect(try await test.store.parked(.pushedRequest, "d", at: test.now) == nil)
        #expect(try await test.store.take(.pushedRequest, "d", at: test.now) == nil)
        #expect(try await test.store.take(.device, "d", at: test.now) == both[0])
        #expect(try await test.store.take(.device, "d", at: test.now) == nil)
        test.advance(.seconds(60) - .milliseconds(1))
        #expect(try await test.store.parked(.userCode, "u", at: test.now) != nil)
        test.advance(.milliseconds(1))
        #expect(try await test.store.parked(.userCode, "u", at: test.now) == nil)
        #expect(try await test.store.take(.userCode, "u", at: test.now) == nil)
        #expect(try await !test.store.replace(record("u", .userCode, until: until), at: test.now))
    }

    @Test("all or nothing: where one id is taken none is parked; one that has expired is free again", arguments: StoreKind.allCases)
    func allOrNothing(_ kind: StoreKind) async throws {
        let test = try await kind.open()
        let until = test.now + .seconds(60)
        #expect(try await test.store.park([record("u", .userCode, "first", until: until)], at: test.now))
        for order in [["d", "u"], ["u", "d"]] as [[Identifier]] {
            let both = order.map { record($0, $0 == "u" ? .userCode : .device, "second", until: until) }
            #expect(try await !test.store.park(both, at: test.now))
            #expect(try await test.store.parked(.device, "d", at: test.now) == nil)
        }
        #expect(try await !test.store.park([record("t", until: until), record("t", until: until)], at: test.now))
        #expect(try await test.store.parked(.device, "t", at: test.now) == nil)
        #expect(try await test.store.parked(.userCode, "u", at: test.now)?.value["state"]?.string == "first")
        test.advance(.seconds(60))
        let again = record("u", .userCode, "again", until: test.now + .seconds(60))
        #expect(try await test.store.park([again], at: test.now))
        #expect(try await test.store.parked(.userCode, "u", at: test.now) == again)
    }

    @Test("of 64 that park under one id one succeeds, also where two ids cross", arguments: StoreKind.allCases)
    func parkRace(_ kind: StoreKind) async throws {
        let test = try await kind.open()
        let until = test.now + .seconds(60)
        let now = test.now
        let parked = try await race { number in
            let both = [record("x", .device, "\(number)", until: until), record("y", .userCode, "\(number)", until: until)]
            return try await test.store.park(number % 2 == 0 ? both : both.reversed(), at: now) ? number : nil
        }
        let winners = parked.compactMap { $0 }
        #expect(winners.count == 1)
        for (kind, id) in [(Parked.Kind.device, "x"), (.userCode, "y")] as [(Parked.Kind, Identifier)] {
            #expect(try await test.store.parked(kind, id, at: now)?.value["state"]?.string == "\(winners.first ?? -1)")
        }
    }

    @Test("of 64 that take one thing one gets it (TK-11)", arguments: StoreKind.allCases)
    func takeRace(_ kind: StoreKind) async throws {
        let test = try await kind.open()
        let one = record("x", until: test.now + .seconds(60))
        #expect(try await test.store.park([one], at: test.now))
        let taken = try await race { _ in try await test.store.take(.device, "x", at: test.now) }
        #expect(taken.compactMap { $0 } == [one])
        #expect(try await test.rows("parked") == 0)
    }

    @Test("of 64 replacements of one version one counts; a stale one changes nothing", arguments: StoreKind.allCases)
    func replaceRace(_ kind: StoreKind) async throws {
        let test = try await kind.open()
        let until = test.now + .seconds(60)
        #expect(try await test.store.park([record("x", until: until)], at: test.now))
        for version in Int64(0)..<3 {
            let replaced = try await race { number in
                try await test.store.replace(record("x", .device, "\(number)", version: version, until: until), at: test.now) ? number : nil
            }
            let winners = replaced.compactMap { $0 }
            #expect(winners.count == 1)
            let stored = try #require(try await test.store.parked(.device, "x", at: test.now))
            #expect(stored.version == version + 1 && stored.value["state"]?.string == "\(winners.first ?? -1)")
        }
        #expect(try await !test.store.replace(record("x", .device, "stale", version: 2, until: until), at: test.now))
        #expect(try await !test.store.replace(record("y", .device, "none", until: until), at: test.now))
        #expect(try await test.store.parked(.device, "x", at: test.now)?.value["state"]?.string != "stale")
    }

    @Test(
        "an identifier counts once, by 64 callers and on every node, for as long as it must be remembered (CA-05)",
        arguments: StoreKind.allCases)
    func spend(_ kind: StoreKind) async throws {
        let test = try await kind.open()
        let until = test.now + .seconds(60)
        let spent = try await race { _ in try await test.store.spend("web jti", until: until, at: test.now) }
        #expect(spent.filter { $0 }.count == 1)
        #expect(try await test.store.spend("web other", until: until, at: test.now))
        #expect(try await test.store.spend("other jti", until: until, at: test.now))
        test.advance(.seconds(60))
        for number in 0..<40 { #expect(try await test.store.spend(Identifier("n\(number)"), until: test.now, at: test.now)) }
        // To the last millisecond, whatever was cleaned away.
        #expect(try await !test.store.spend("web jti", until: test.now, at: test.now))
    }
}
