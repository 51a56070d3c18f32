import AuthCore
import Store
import Testing

@testable import Accounts

private let start = Instant(seconds: 1_700_000_000)

/// The store, as far as the policy sees it: one transaction is one call.
private final class Counters {
    let policy: LockoutPolicy
    var records: [Identifier: ThrottleRecord] = [:]

    init(policy: LockoutPolicy = .standard) { self.policy = policy }

    private func transaction<Value>(_ keys: LockoutKeys, _ body: (inout [ThrottleRecord?]) -> Value) -> Value {
        var list = keys.keys.map { records[$0] }
        let value = body(&list)
        for (key, record) in zip(keys.keys, list) { records[key] = record }
        return value
    }

    func attempt(_ keys: LockoutKeys, at now: Instant) -> LockoutPolicy.Verdict {
        transaction(keys) { policy.attempt(&$0, at: now) }
    }

    func end(_ keys: LockoutKeys, _ ticket: LockoutPolicy.Ticket, success: Bool, at now: Instant) {
        transaction(keys) { success ? policy.succeeded(ticket, &$0, at: now) : policy.failed(ticket, &$0, at: now) }
    }

    func takeBack(_ keys: LockoutKeys, _ ticket: LockoutPolicy.Ticket, at now: Instant) {
        transaction(keys) { policy.notEvaluated(ticket, &$0, at: now) }
    }

    /// One try from beginning to end; whether it was evaluated.
    func attempt(_ keys: LockoutKeys, success: Bool, at now: Instant) -> Bool {
        guard case .allowed(let ticket) = attempt(keys, at: now) else { return false }
        end(keys, ticket, success: success, at: now)
        return true
    }
}

private func keys(_ source: String, account: String = "a1", device: String? = nil) -> LockoutKeys {
    LockoutKeys(subject: Identifier(account), source: source, device: device.map { Identifier($0) })
}

@Suite("Lockout: the rule of one counter (BF-01, BF-03)")
struct LockoutRuleTests {
    private let rule = LockoutRule(freeAttempts: 3, delay: .seconds(1), delayMax: .seconds(10), failuresMax: 8)

    @Test("the wait doubles from the last free attempt on, up to the longest")
    func growth() {
        let waits = (0...9).map { rule.wait(after: $0).wholeSeconds }
        #expect(waits == [0, 0, 0, 1, 2, 4, 8, 10, 10, 10])
        #expect(rule.wait(after: .max) == .seconds(10))
        #expect(LockoutRule(freeAttempts: 1, delay: .zero, delayMax: .seconds(1)).wait(after: .max) == .zero)
    }

    @Test("a try counts before it is evaluated, and one that is refused does not")
    func counting() {
        var record: ThrottleRecord?
        var answers: [LockoutAnswer] = []
        for _ in 0..<5 {
            let (next, answer) = rule.attempt(record, at: start)
            record = next
            answers.append(answer)
        }
        #expect(answers == [.allowed, .allowed, .allowed, .delayed(until: start + .seconds(1)), .delayed(until: start + .seconds(1))])
        #expect(record?.failures == 3)
        let (later, answer) = rule.attempt(record, at: start + .seconds(1))
        #expect(answer == .allowed && later?.failures == 4 && later?.blockedUntil == start + .seconds(3))
        // Success takes everything back.
        #expect(rule.succeeded(later, at: start) == nil)
    }

    @Test("the wait begins when the evaluation has ended, and grows by one try only")
    func failed() {
        var record: ThrottleRecord?
        for _ in 0..<3 { record = rule.attempt(record, at: start).record }
        let ended = rule.failed(record, at: start + .milliseconds(700))
        #expect(ended?.failures == 3)
        #expect(ended?.blockedUntil == start + .milliseconds(1_700))
    }

    @Test("after the most failures in a row nothing is evaluated, however late")
    func exhausted() {
        var record: ThrottleRecord?
        var now = start
        var evaluated = 0
        for _ in 0..<1_000 {
            let (next, answer) = rule.attempt(record, at: now)
            record = next
            if answer == .allowed { evaluated += 1 }
            now = now + .seconds(3_600)
        }
        #expect(evaluated == 8)
        #expect(rule.attempt(record, at: now).answer == .exhausted)
    }

    @Test("a window forgets when it is over and nothing is blocked; without one nothing is forgotten")
    func window() {
        let windowed = LockoutRule(freeAttempts: 2, delay: .seconds(60), delayMax: .seconds(60), window: .seconds(30))
        var record: ThrottleRecord?
        for _ in 0..<2 { record = windowed.attempt(record, at: start).record }
        #expect(windowed.attempt(record, at: start + .seconds(30)).answer == .delayed(until: start + .seconds(60)))
        let (fresh, answer) = windowed.attempt(record, at: start + .seconds(60))
        #expect(answer == .allowed && fresh?.failures == 1 && fresh?.windowStartedAt == start + .seconds(60))
        let (kept, _) = rule.attempt(
            ThrottleRecord(failures: 2, windowStartedAt: start, blockedUntil: start), at: start + .seconds(1_000_000))
        #expect(kept?.failures == 3)
    }

    @Test("a clock that was set back delays by the longest wait at most, and forgets nothing (R-7)")
    func clock() {
        let future = ThrottleRecord(failures: 5, windowStartedAt: start + .seconds(86_400), blockedUntil: start + .seconds(86_400))
        let (record, answer) = rule.attempt(future, at: start)
        #expect(answer == .delayed(until: start + .seconds(10)))
        #expect(rule.attempt(record, at: start + .seconds(10)).answer == .allowed)
        #expect(rule.attempt(record, at: start + .seconds(10)).record?.failures == 6)
    }

    @Test("no count and no time overflows")
    func overflow() {
        let endless = LockoutRule(freeAttempts: 1, delay: .seconds(Int64.max / 4), delayMax: .seconds(Int64.max / 4))
        let worst = ThrottleRecord(failures: .max, windowStartedAt: Instant(milliseconds: .min), blockedUntil: Instant(milliseconds: .min))
        let (record, answer) = endless.attempt(worst, at: Instant(milliseconds: .max))
        #expect(answer == .allowed && record?.failures == .max)
        #expect(endless.failed(record, at: Instant(milliseconds: .max))?.blockedUntil == Instant(milliseconds: .max))
    }
}

@Suite("Lockout: account and source (BF-02…BF-04)")
struct LockoutPolicyTests {
    @Test("of 100 tries at once at most the free ones are evaluated, wherever they come from (CVE-2024-4629)")
    func parallel() {
        let counters = Counters()
        let verdicts = (0..<100).map { counters.attempt(keys("192.0.2.\($0)"), at: start) }
        #expect(verdicts.prefix(5).allSatisfy { if case .allowed = $0 { true } else { false } })
        #expect(verdicts.dropFirst(5).allSatisfy { $0 == .delayed(until: start + .seconds(1)) })
    }

    @Test("a right password after the limit is not evaluated either, and not counted")
    func rightPasswordTooLate() {
        let counters = Counters()
        for _ in 0..<5 { #expect(counters.attempt(keys("198.51.100.1"), success: false, at: start)) }
        let before = counters.records
        #expect(!counters.attempt(keys("198.51.100.1"), success: true, at: start))
        #expect(!counters.attempt(keys("198.51.100.2"), success: true, at: start))
        #expect(counters.records == before)
        #expect(counters.attempt(keys("198.51.100.2"), success: true, at: start + .seconds(1)))
        #expect(counters.records["account:a1"] == nil)
    }

    @Test("a try that the server had no time for is taken back: an overload locks nobody out, and forgets nobody")
    func notEvaluated() {
        let counters = Counters()
        #expect(counters.attempt(keys("198.51.100.1"), success: true, at: start))
        let known = counters.records
        for number in 0..<200 {
            let source = number % 2 == 0 ? "198.51.100.1" : "198.51.100.9"
            guard case .allowed(let ticket) = counters.attempt(keys(source), at: start) else {
                Issue.record("try \(number) was held back")
                return
            }
            counters.takeBack(keys(source), ticket, at: start)
        }
        #expect(counters.records == known)
        // Those that were evaluated stay counted beside it.
        for _ in 0..<4 { #expect(counters.attempt(keys("198.51.100.9"), success: false, at: start)) }
        guard case .allowed(let ticket) = counters.attempt(keys("198.51.100.9"), at: start) else {
            Issue.record("the fifth try was held back")
            return
        }
        counters.takeBack(keys("198.51.100.9"), ticket, at: start)
        #expect(counters.records["account:a1"]?.failures == 4)
    }

    @Test("one source that tries many accounts is slowed down, and one account of its own does not clear that")
    func spraying() {
        let counters = Counters()
        var evaluated = 0
        for number in 0..<500 {
            if counters.attempt(keys("203.0.113.9", account: "a\(number)"), success: false, at: start) { evaluated += 1 }
            _ = counters.attempt(keys("203.0.113.9", account: "own"), success: true, at: start)
        }
        #expect(evaluated <= 50)
        #expect(counters.attempt(keys("203.0.113.10", account: "a1"), success: false, at: start))
    }

    @Test("honest people behind one address do not fill its counter")
    func sharedAddress() {
        let counters = Counters()
        for number in 0..<1_000 { #expect(counters.attempt(keys("203.0.113.9", account: "a\(number)"), success: true, at: start)) }
        #expect(counters.records["source:203.0.113.9"] == nil)
    }

    @Test("somebody who guesses from elsewhere, however long, does not keep out a source that signed in before (BF-04)")
    func knownSource() {
        let counters = Counters()
        let home = keys("192.0.2.7")
        #expect(counters.attempt(home, success: true, at: start))
        var now = start
        for number in 0..<10_000 {
            _ = counters.attempt(keys("2001:db8:0:\(number)::/64"), success: false, at: now)
            if number % 100 == 0 { now = now + .seconds(900) }
        }
        #expect(counters.attempt(keys("192.0.2.8"), at: now + .seconds(86_400)) == .exhausted)
        #expect(counters.attempt(home, success: true, at: now))
        // That sign-in ended the row of failures, so elsewhere it goes on too.
        #expect(counters.attempt(keys("192.0.2.8"), success: true, at: now))
    }

    @Test("a device that signed in before gets in from an address that guessers have used up (BF-04)")
    func knownDevice() {
        let counters = Counters()
        #expect(counters.attempt(keys("192.0.2.7", device: "d1"), success: true, at: start))
        for number in 0..<200 { _ = counters.attempt(keys("198.51.100.1", account: "b\(number)"), success: false, at: start) }
        #expect(!counters.attempt(keys("198.51.100.1"), success: true, at: start))
        #expect(!counters.attempt(keys("198.51.100.1", device: "forged"), success: true, at: start))
        #expect(counters.attempt(keys("198.51.100.1", device: "d1"), success: true, at: start))
    }

    @Test("a known source is slowed down by its own failures, and after ten it is known no more")
    func knownIsLimited() {
        let counters = Counters()
        let home = keys("192.0.2.7")
        #expect(counters.attempt(home, success: true, at: start))
        for _ in 0..<5 { #expect(counters.attempt(home, success: false, at: start)) }
        #expect(counters.attempt(home, at: start) == .delayed(until: start + .seconds(1)))
        #expect(counters.records["account:a1"] == nil)
        var now = start
        for _ in 0..<5 {
            now = now + .seconds(900)
            #expect(counters.attempt(home, success: false, at: now))
        }
        #expect(counters.records["account:a1"] == nil)
        now = now + .seconds(900)
        #expect(counters.attempt(home, success: false, at: now))
        #expect(counters.records["account:a1"]?.failures == 1)
    }

    @Test("at most 100 failures in a row are evaluated, from many known and unknown sources together (NIST SP 800-63B-4 §3.2.2)")
    func total() {
        for most in [5, 9, 10, 37, 100] {
            let counters = Counters(policy: LockoutPolicy(failuresMax: most))
            for number in 0..<20 { _ = counters.attempt(keys("home\(number)", device: "d\(number)"), success: true, at: start) }
            var evaluated = 0
            var now = start
            for turn in 0..<3_000 {
                now = now + .seconds(901)
                let tries = [
                    keys("home\(turn % 20)"), keys("home\(turn % 20)", device: "d\(turn % 20)"),
                    keys("elsewhere\(turn)", device: "d\(turn % 20)"),
                    keys("elsewhere\(turn)"),
                ]
                for attempt in tries where counters.attempt(attempt, success: false, at: now) { evaluated += 1 }
            }
            #expect(evaluated == most, "\(most)")
        }
    }

    @Test("recovery ends the row of failures and makes no source known")
    func recovery() {
        let counters = Counters()
        var now = start
        for _ in 0..<60 {
            _ = counters.attempt(keys("192.0.2.8"), success: false, at: now)
            now = now + .seconds(901)
        }
        #expect(counters.attempt(keys("192.0.2.8"), at: now) == .exhausted)
        var list = keys("192.0.2.8").keys.map { counters.records[$0] }
        counters.policy.recovered(&list)
        for (key, record) in zip(keys("192.0.2.8").keys, list) { counters.records[key] = record }
        #expect(counters.attempt(keys("192.0.2.8"), success: false, at: now))
        #expect(counters.records["account:a1"]?.failures == 1)
    }

    @Test("an unknown name is throttled as an account is (PW-11)")
    func unknownName() {
        let counters = Counters()
        for _ in 0..<5 { #expect(counters.attempt(keys("198.51.100.1", account: "nobody"), success: false, at: start)) }
        #expect(counters.attempt(keys("198.51.100.2", account: "nobody"), at: start) == .delayed(until: start + .seconds(1)))
    }

    @Test("a list of records that is too short allows nothing")
    func tooShort() {
        var records: [ThrottleRecord?] = [nil, nil]
        #expect(LockoutPolicy.standard.attempt(&records, at: start) == .exhausted)
    }
}
