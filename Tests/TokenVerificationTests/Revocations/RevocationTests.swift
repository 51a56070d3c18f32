import AuthCore
import Testing
import TokenVerification

private let until = Instant(seconds: Presented.now + 1_000)

private func entry(_ kind: RevocationKind, _ id: Identifier, _ epoch: Int64? = nil, until end: Instant = until) -> RevocationEntry {
    RevocationEntry(kind: kind, id: id, epoch: epoch, until: end)
}

@Suite("GW-22, RFC 7009 §2.1: what a revocation concerns")
struct RevocationTests {
    @Test("each kind concerns exactly the tokens with its id; accounts and clients those with a lower epoch")
    func kinds() throws {
        // The token: sid s1, gid g1, sub alice with epoch 3, client web with epoch 5, jti t1, kid k1.
        let rows: [(RevocationEntry, String)] = [
            (entry(.session, "s1"), "revoked"), (entry(.session, "s2"), "accept"), (entry(.session, "g1"), "accept"),
            (entry(.session, "S1"), "accept"), (entry(.grant, "g1"), "revoked"), (entry(.grant, "s1"), "accept"),
            (entry(.token, "t1"), "revoked"), (entry(.token, "t"), "accept"), (entry(.key, "k1"), "revoked"), (entry(.key, "k2"), "accept"),
            (entry(.account, "alice", 4), "revoked"), (entry(.account, "alice", 3), "accept"), (entry(.account, "alice", 2), "accept"),
            (entry(.account, "alice", 0), "accept"), (entry(.account, "alice"), "revoked"), (entry(.account, "bob", 9), "accept"),
            (entry(.account, "web", 9), "accept"), (entry(.client, "web", 6), "revoked"), (entry(.client, "web", 5), "accept"),
            (entry(.client, "web"), "revoked"), (entry(.client, "alice", 9), "accept"), (entry(.account, "alice", .max), "revoked"),
        ]
        for (entry, expected) in rows {
            var presented = try Presented()
            presented.revoked = [entry]
            #expect(try presented.outcome() == expected, "\(entry)")
        }
    }

    @Test("a token without ver has epoch 0, and every raised epoch revokes it")
    func withoutEpoch() throws {
        for (entry, expected) in [
            (entry(.account, "alice", 1), "revoked"), (entry(.account, "alice", 0), "accept"), (entry(.client, "web", 1), "revoked"),
        ] {
            var presented = try Presented()
            presented.claims["ver"] = nil
            presented.revoked = [entry]
            #expect(try presented.outcome() == expected, "\(entry)")
        }
    }

    @Test("a token without sid and gid is not touched by sessions and grants")
    func withoutSession() throws {
        var presented = try Presented()
        presented.claims["sid"] = nil
        presented.claims["gid"] = nil
        presented.revoked = [entry(.session, "s1"), entry(.grant, "g1")]
        #expect(try presented.outcome() == "accept")
    }
}

@Suite("The replica of the revocations")
struct RevocationReplicaTests {
    private func position(_ sequence: Int64, _ epoch: String = "e1") -> RevocationPosition {
        RevocationPosition(epoch: epoch, sequence: sequence)
    }

    @Test("applying again or in any order leads to the same state")
    func order() throws {
        var random = Seeded(7)
        let kinds: [RevocationKind] = [.session, .account, .client, .token]
        let batches = (0..<40).map { number in
            (0..<5).map { _ in
                entry(
                    kinds[Int.random(in: 0..<4, using: &random)], Identifier("id\(Int.random(in: 0..<12, using: &random))"),
                    Int64.random(in: 0..<20, using: &random),
                    until: Instant(seconds: Presented.now + Int64.random(in: 0..<500, using: &random)))
            }
        }
        func state(_ order: [Int]) -> [String] {
            let replica = RevocationReplica()
            replica.replace([], through: position(0), sentAt: .zero)
            for index in order { #expect(replica.apply(batches[index], through: position(Int64(index) + 1), sentAt: .zero)) }
            #expect(replica.position == position(40))
            return replica.current.all.map { "\($0.kind) \($0.id) \($0.epoch ?? -1) \($0.until.seconds)" }.sorted()
        }
        let inOrder = state(Array(0..<40))
        for _ in 0..<10 { #expect(state(Array(0..<40).shuffled(using: &random)) == inOrder) }
        #expect(state(Array(0..<40) + Array(0..<40).reversed()) == inOrder)
    }

    @Test("an epoch never goes down")
    func epochs() throws {
        let presented = try Presented()
        let verifier = try presented.verifier()
        let token = try presented.token()
        verifier.revocations.enforce([entry(.account, "alice", 4)])
        verifier.revocations.enforce([entry(.account, "alice", 2), entry(.account, "alice", 1)])
        #expect(verifier.outcome(token, presented.requirements) == "revoked")
    }

    @Test("without a snapshot, and under another epoch, nothing is applied: take a snapshot")
    func anotherEpoch() {
        let replica = RevocationReplica()
        #expect(!replica.apply([entry(.session, "s")], through: position(1), sentAt: .zero))
        #expect(replica.position == nil)
        #expect(replica.current.count == 0)
        #expect(replica.replace([entry(.session, "s")], through: position(5), sentAt: .zero))
        #expect(!replica.apply([entry(.session, "t")], through: position(6, "e2"), sentAt: .seconds(9)))
        #expect(replica.current.count == 1)
        #expect(replica.age(at: .seconds(9)) == .seconds(9))
        #expect(replica.replace([entry(.session, "u")], through: position(1, "e2"), sentAt: .seconds(9)))
        // What was revoked before stays revoked: the new history may have lost it.
        #expect(Set(replica.current.all.map(\.id)) == ["u", "s"])
        #expect(replica.position == position(1, "e2"))
    }

    @Test("an older snapshot of the same epoch does not take back what came after it")
    func olderSnapshot() {
        let replica = RevocationReplica()
        replica.replace([], through: position(5), sentAt: .zero)
        replica.apply([entry(.session, "s")], through: position(6), sentAt: .zero)
        #expect(!replica.replace([], through: position(5), sentAt: .seconds(1)))
        #expect(replica.current.count == 1)
        #expect(replica.replace([entry(.session, "s")], through: position(6), sentAt: .seconds(1)))
    }

    @Test("what this process revokes is in force at once and moves neither position nor age")
    func enforced() throws {
        let presented = try Presented()
        let verifier = try presented.verifier()
        let token = try presented.token()
        #expect(verifier.outcome(token, presented.requirements) == "accept")
        verifier.revocations.enforce([entry(.session, "s1")])
        #expect(verifier.outcome(token, presented.requirements) == "revoked")
        #expect(verifier.revocations.position == RevocationPosition(epoch: "e", sequence: 1))
        #expect(verifier.revocations.age(at: .seconds(7)) == .seconds(7))
    }

    @Test("I3: a snapshot that an answer has taken does not change under it")
    func immutable() {
        let replica = RevocationReplica()
        replica.replace([entry(.session, "a")], through: position(1), sentAt: .zero)
        let before = replica.current
        replica.apply([entry(.session, "b")], through: position(2), sentAt: .zero)
        #expect(before.count == 1)
        #expect(replica.current.count == 2)
    }

    @Test("entries go when their time is past, the earliest first, in bounded steps")
    func prune() {
        let replica = RevocationReplica()
        replica.replace(
            (0..<100).map { entry(.token, Identifier("t\($0)"), until: Instant(seconds: 1_000 + Int64($0))) }, through: position(1),
            sentAt: .zero)
        replica.prune(now: Instant(seconds: 1_000), uptime: Uptime(nanoseconds: 1_000_000_000_000), stepsMax: 50)
        #expect(replica.current.count == 100, "an entry is in force up to its until")
        replica.prune(now: Instant(seconds: 1_050), uptime: Uptime(nanoseconds: 1_050_000_000_000), stepsMax: 20)
        #expect(replica.current.count == 80)
        #expect(!replica.current.all.contains { $0.until < Instant(seconds: 1_020) })
        replica.prune(now: Instant(seconds: 1_050), uptime: Uptime(nanoseconds: 1_050_000_000_000), stepsMax: 1_000)
        #expect(replica.current.count == 50)
        replica.prune(now: Instant(seconds: 5_000), uptime: Uptime(nanoseconds: 5_000_000_000_000), stepsMax: -1)
        #expect(replica.current.count == 50)
        replica.prune(now: Instant(seconds: 5_000), uptime: Uptime(nanoseconds: 5_000_000_000_000), stepsMax: 50)
        #expect(replica.current.count == 0)
    }

    @Test("an entry whose time was raised stays until the later one")
    func raised() {
        let replica = RevocationReplica()
        replica.enforce([entry(.token, "t", until: Instant(seconds: 10)), entry(.token, "u", until: Instant(seconds: 20))])
        replica.enforce([entry(.token, "t", until: Instant(seconds: 30)), entry(.token, "t", until: Instant(seconds: 5))])
        replica.prune(now: Instant(seconds: 21), uptime: Uptime(nanoseconds: 21_000_000_000), stepsMax: 100)
        #expect(replica.current.all.map(\.id) == ["t"])
        replica.prune(now: Instant(seconds: 31), uptime: Uptime(nanoseconds: 31_000_000_000), stepsMax: 100)
        #expect(replica.current.count == 0)
    }

    @Test("verifying new tokens lets expired entries go, without anybody else's help")
    func housekeeping() throws {
        var presented = try Presented()
        presented.revoked = (0..<20).map { entry(.token, Identifier("old\($0)"), until: Instant(seconds: Presented.now - 100)) }
        let verifier = try presented.verifier()
        for number in 0..<5 {
            presented.claims["jti"] = .string("n\(number)")
            _ = verifier.outcome(try presented.token(), presented.requirements)
        }
        #expect(verifier.revocations.current.count == 0)
    }

    @Test("past its bound a replica grows stale rather than forgets")
    func bound() {
        let replica = RevocationReplica(entriesMax: 3)
        #expect(!replica.replace((0..<4).map { entry(.token, Identifier("t\($0)")) }, through: position(1), sentAt: .zero))
        #expect(replica.replace((0..<3).map { entry(.token, Identifier("t\($0)")) }, through: position(1), sentAt: .zero))
        #expect(!replica.apply([entry(.token, "x")], through: position(2), sentAt: .seconds(8)))
        #expect(replica.position == position(1))
        #expect(replica.age(at: .seconds(10)) == .seconds(10))
        replica.enforce([entry(.token, "x")])
        #expect(replica.current.count == 4)
    }

    @Test("the age counts from the sending of the last confirmed question, and never goes back")
    func age() {
        let replica = RevocationReplica()
        #expect(replica.age(at: .seconds(5)) == nil)
        replica.confirm(sentAt: .seconds(1))
        #expect(replica.age(at: .seconds(5)) == nil, "there is nothing yet that could be confirmed")
        replica.replace([], through: position(1), sentAt: .seconds(2))
        #expect(replica.age(at: .seconds(5)) == .seconds(3))
        replica.confirm(sentAt: .seconds(4))
        replica.confirm(sentAt: .seconds(3))
        #expect(replica.age(at: .seconds(5)) == .seconds(1))
        #expect(replica.age(at: .seconds(1)) == .zero)
        replica.distrust(since: .seconds(6))
        #expect(replica.age(at: .seconds(7)) == nil)
        replica.confirm(sentAt: .seconds(5))
        #expect(replica.age(at: .seconds(7)) == nil, "it was sent before the gap")
        replica.replace([], through: position(2), sentAt: .seconds(5))
        #expect(replica.age(at: .seconds(7)) == nil)
        replica.confirm(sentAt: .seconds(6))
        #expect(replica.age(at: .seconds(7)) == .seconds(1))
    }

    @Test("past the bound it refuses, asks or serves; what is known to be revoked or bad is refused all the same")
    func staleness() throws {
        var presented = try Presented()
        let verifier = try presented.verifier()
        let good = try presented.token()
        presented.claims["exp"] = .integer(Presented.now - 500)
        let expired = try presented.token()
        presented = try Presented()
        presented.claims["sid"] = "gone"
        let revoked = try presented.token()
        verifier.revocations.enforce([entry(.session, "gone")])
        let now = Instant(seconds: Presented.now)
        func outcome(_ token: [UInt8], _ seconds: UInt64, _ policy: StalePolicy) -> String {
            var none: TokenExplanation?
            return verifier.outcome(token, presented.requirements, at: now, uptime: .seconds(seconds), whenStale: policy, explaining: &none)
        }
        for policy in StalePolicy.allCases {
            #expect(outcome(good, 30, policy) == "accept")
            #expect(outcome(expired, 31, policy) == "expired")
            #expect(outcome(revoked, 31, policy) == "revoked")
        }
        #expect(outcome(good, 31, .refuse) == "unavailable")
        #expect(outcome(good, 31, .ask) == "ask stale")
        #expect(outcome(good, 31, .serve) == "accept")
        verifier.revocations.confirm(sentAt: .seconds(31))
        #expect(outcome(good, 31, .refuse) == "accept")
        verifier.revocations.distrust(since: .seconds(40))
        #expect(outcome(good, 31, .refuse) == "unavailable")
    }

    @Test("a verifier that never had a snapshot is stale")
    func neverLoaded() throws {
        let presented = try Presented()
        let verifier = TokenVerifier(rules: TokenRules(issuer: Presented.issuer), cacheBytesMax: 100_000, maxStaleness: .seconds(30))
        verifier.setKeys(try KeySet(keys: [presented.key.verification]))
        #expect(verifier.outcome(try presented.token(), presented.requirements) == "unavailable")
        var explanation: TokenExplanation? = TokenExplanation()
        #expect(verifier.outcome(try presented.token(), presented.requirements, whenStale: .serve, explaining: &explanation) == "accept")
    }

    @Test("the text of a position, as Last-Event-ID brings it")
    func text() {
        #expect(RevocationPosition("e1-42") == position(42))
        #expect(RevocationPosition("a-b_C-0")?.epoch == "a-b_C")
        #expect(position(9_223_372_036_854_775_807).description == "e1-9223372036854775807")
        #expect(RevocationPosition("e1-9223372036854775807") == position(.max))
        for text in [
            "", "-", "e1", "e1-", "-1", "e1-+1", "e1--", "e1-1 ", " e1-1", "e1-9223372036854775808", "e1-99999999999999999999", "e 1-1",
            "e1-١",
            "é-1", String(repeating: "e", count: 65) + "-1", "e1-1\n",
        ] {
            #expect(RevocationPosition(text) == nil, "\(text)")
        }
    }
}
