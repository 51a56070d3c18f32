import AuthCore
import Store
import Testing

@testable import Accounts

private let start = Instant(seconds: 1_700_000_000)

private func signIn(_ enrolled: [Factor], _ requested: AssuranceLevel = .oneFactor, lifetime: Duration = .seconds(300)) -> SignInState {
    SignInState(
        account: "a1", accountEpoch: 3, goal: .interaction("i1"), enrolled: enrolled, requested: requested,
        validity: (startedAt: start, lifetime: lifetime)
    )
}

private let amr: [Factor: [String]] = [
    .password: ["pwd"], .totp: ["otp"], .recoveryCode: ["otp"], .passkey: ["hwk"], .emailCode: ["otp"], .provider: [],
]

private func proof(_ factor: Factor, verified: Bool = false, at seconds: Int64 = 1) -> SignInEvent {
    .proved(FactorProof(factor: factor, amr: (amr[factor] ?? []) + (verified ? ["user"] : []), at: start + .seconds(seconds)))
}

private func later(_ seconds: Int64) -> Instant { start + .seconds(seconds) }

@Suite("Sign-in: one state machine for every way in (MF-03, MF-04, MF-18)")
struct SignInTests {
    @Test("a password is enough where nothing more is enrolled or asked for")
    func passwordOnly() {
        var state = signIn([.password])
        #expect(state.step(at: start) == .needs([.password]))
        let done = state.apply(proof(.password), at: later(1))
        #expect(done == .done(SessionAssurance(acr: "urn:gatehouse:acr:1", amr: ["pwd"], authenticatedAt: later(1))))
    }

    @Test("an account with a second factor needs it, whatever was asked (CVE-2025-64103)")
    func second() {
        var state = signIn([.password, .totp, .recoveryCode])
        #expect(state.apply(proof(.password), at: later(1)) == .needs([.totp, .recoveryCode]))
        let done = state.apply(proof(.totp, at: 9), at: later(9))
        #expect(done == .done(SessionAssurance(acr: "urn:gatehouse:acr:2", amr: ["pwd", "otp", "mfa"], authenticatedAt: later(9))))
    }

    @Test("a passkey that verified its user is two factors; one that did not needs the password too")
    func passkey() {
        var verified = signIn([.password, .passkey])
        #expect(
            verified.apply(proof(.passkey, verified: true), at: later(1))
                == .done(SessionAssurance(acr: "urn:gatehouse:acr:2", amr: ["hwk", "user", "mfa"], authenticatedAt: later(1))))
        var present = signIn([.password, .passkey])
        #expect(present.apply(proof(.passkey), at: later(1)) == .needs([.password]))
        #expect(
            present.apply(proof(.password), at: later(2))
                == .done(SessionAssurance(acr: "urn:gatehouse:acr:2", amr: ["hwk", "pwd", "mfa"], authenticatedAt: later(1))))
        var alone = signIn([.passkey])
        #expect(
            alone.apply(proof(.passkey), at: later(1))
                == .done(SessionAssurance(acr: "urn:gatehouse:acr:1", amr: ["hwk"], authenticatedAt: later(1))))
        // `user` means something in a passkey's proof alone.
        var password = signIn([.password, .totp])
        #expect(password.apply(proof(.password, verified: true), at: later(1)) == .needs([.totp]))
    }

    @Test("two proofs of one kind, and a password with a mailbox, are one factor")
    func oneKind() {
        var mailbox = signIn([.password, .emailCode], .twoFactors)
        #expect(mailbox.apply(proof(.emailCode), at: later(1)) == .refused(.enrolmentNeeded))
        var held = signIn([.passkey, .totp, .recoveryCode], .twoFactors)
        #expect(held.apply(proof(.passkey), at: later(1)) == .refused(.enrolmentNeeded))
    }

    @Test("an assurance that the account cannot reach ends the sign-in, after the first factor and not before (BF-05)")
    func enrolment() {
        var state = signIn([.password], .twoFactors)
        #expect(state.step(at: start) == .needs([.password]))
        #expect(state.apply(proof(.password), at: later(1)) == .refused(.enrolmentNeeded))
        #expect(state.apply(proof(.totp), at: later(1)) == .refused(.enrolmentNeeded))
        #expect(signIn([]).step(at: start) == .refused(.enrolmentNeeded))
    }

    @Test("a factor that was not asked for, or proven before the beginning or in the future, leads nowhere")
    func unexpected() {
        var state = signIn([.password, .totp])
        #expect(state.apply(proof(.totp), at: later(1)) == .refused(.factorUnexpected))
        #expect(state.apply(proof(.passkey), at: later(1)) == .refused(.factorUnexpected))
        #expect(state.apply(proof(.password, at: -1), at: later(1)) == .refused(.factorUnexpected))
        #expect(state.apply(proof(.password, at: 2), at: later(1)) == .refused(.factorUnexpected))
        #expect(state.apply(proof(.password), at: later(1)) == .needs([.totp]))
        #expect(state.apply(proof(.password), at: later(1)) == .refused(.factorUnexpected))
        #expect(state.step(at: later(1)) == .needs([.totp]))
    }

    @Test("a sign-in ends after five minutes at the latest, and when the clock is before its beginning (MF-04)")
    func expiry() {
        var state = signIn([.password, .totp], lifetime: .seconds(86_400))
        #expect(state.apply(proof(.password), at: later(1)) == .needs([.totp]))
        #expect(state.step(at: later(299)) == .needs([.totp]))
        #expect(state.step(at: start - .seconds(1)) == .refused(.expired))
        #expect(state.apply(proof(.totp, at: 300), at: later(300)) == .refused(.expired))
        // The clock set back does not bring it to life again.
        #expect(state.apply(proof(.totp, at: 2), at: later(2)) == .refused(.expired))
        #expect(state.parked() == nil)
    }

    @Test("an ended sign-in stays ended")
    func ended() {
        var done = signIn([.password])
        _ = done.apply(proof(.password), at: later(1))
        #expect(done.apply(proof(.password), at: later(1)) == .refused(.finished))
        #expect(done.apply(.cancelled, at: later(1)) == .refused(.finished))
        #expect(done.parked() == nil)
        var cancelled = signIn([.password])
        #expect(cancelled.apply(.cancelled, at: later(1)) == .refused(.cancelled))
        #expect(cancelled.apply(proof(.password), at: later(1)) == .refused(.cancelled))
    }

    @Test("over all sequences of four events: done only with the required factors, and at most once")
    func model() {
        let events: [SignInEvent] =
            Factor.allCases.map { proof($0) } + [proof(.passkey, verified: true), proof(.password, verified: true), .cancelled]
        var sequences = 0
        var finished = 0
        for mask in 0..<64 {
            let enrolled = Factor.allCases.enumerated().filter { mask & (1 << $0.offset) != 0 }.map(\.element)
            for requested in AssuranceLevel.allCases {
                var open: [(SignInState, [SignInEvent], done: Int)] = [(signIn(enrolled, requested), [], 0)]
                for _ in 0..<4 {
                    var next: [(SignInState, [SignInEvent], done: Int)] = []
                    for (state, history, done) in open {
                        for event in events {
                            // Parked and taken up again between any two events.
                            var state = state.parked().flatMap { SignInState(parked: $0) } ?? state
                            let step = state.apply(event, at: later(2))
                            sequences += 1
                            var count = done
                            if case .done(let assurance) = step {
                                finished += 1
                                count += 1
                                check(assurance, state, history + [event], requested)
                            }
                            if count > 1 { Issue.record("done twice: \(history)") }
                            if case .needs(let factors) = step, factors.isEmpty || !factors.allSatisfy(enrolled.contains) {
                                Issue.record("needs \(factors) of \(enrolled)")
                            }
                            // Events that changed nothing lead to nothing new.
                            if step != .refused(.factorUnexpected), state.phase == .open { next.append((state, history + [event], count)) }
                        }
                    }
                    open = next
                }
            }
        }
        #expect(sequences > 3_000 && finished > 300)
    }

    private func check(_ assurance: SessionAssurance, _ state: SignInState, _ history: [SignInEvent], _ requested: AssuranceLevel) {
        var proven: Set<Factor> = []
        var isVerified = false
        for case .proved(let proof) in history where state.proofs.contains(proof) {
            proven.insert(proof.factor)
            if proof.factor == .passkey, proof.amr.contains("user") { isVerified = true }
        }
        let held = !proven.isDisjoint(with: [.totp, .recoveryCode, .passkey])
        let other = !proven.isDisjoint(with: [.password, .emailCode, .provider])
        let isTwo = isVerified || (held && other)
        #expect(!proven.isEmpty && proven.isSubset(of: state.enrolled))
        #expect(assurance.acr == (isTwo ? "urn:gatehouse:acr:2" : "urn:gatehouse:acr:1"))
        #expect(assurance.amr.contains("mfa") == isTwo)
        if requested == .twoFactors || state.enrolled.contains(.totp) { #expect(isTwo, "\(history)") }
    }
}

@Suite("Sign-in: parked as JSON")
struct ParkedSignInTests {
    private func parked() -> String {
        var state = signIn([.password, .totp])
        _ = state.apply(proof(.password), at: later(1))
        return String(decoding: state.parked() ?? [], as: UTF8.self)
    }

    @Test("what was parked is what comes back")
    func roundTrip() throws {
        var state = SignInState(
            account: "a1", accountEpoch: 3, goal: .login(JSONObject([("client_id", .string("web")), ("scope", .null)])),
            enrolled: [.totp, .password], requested: .oneFactor, validity: (startedAt: start, lifetime: .seconds(60))
        )
        #expect(SignInState(parked: try #require(state.parked())) == state)
        _ = state.apply(proof(.password), at: later(1))
        #expect(SignInState(parked: try #require(state.parked())) == state)
        #expect(
            parked()
                == #"{"v":1,"account":"a1","epoch":3,"goal":{"interaction":"i1"},"enrolled":["password","totp"],"required":2,"#
                + #""started_ms":1700000000000,"expires_ms":1700000300000,"#
                + #""proofs":[{"factor":"password","amr":["pwd"],"at_ms":1700000001000}]}"#)
    }

    static let changes: [(String, String)] = [
        (#""v":1"#, #""v":2"#), (#""v":1,"#, ""), (#""account":"a1""#, #""account":"""#), (#""account":"a1""#, #""account":1"#),
        (#""epoch":3"#, #""epoch":"3""#), (#""epoch":3"#, #""epoch":3.5"#), (#"{"interaction":"i1"}"#, #"{"interaction":1}"#),
        (#"{"interaction":"i1"}"#, #"{"interaction":"i1","login":{}}"#), (#"{"interaction":"i1"}"#, #"{"tokens":"i1"}"#),
        (#"["password","totp"]"#, #"["password","fax"]"#), (#"["password","totp"]"#, #"["password","password"]"#),
        (#"["password","totp"]"#, #"["totp"]"#), (#""required":2"#, #""required":3"#), (#""required":2"#, #""required":0"#),
        (#""expires_ms":1700000300000"#, #""expires_ms":1699999999999"#), (#""at_ms":1700000001000"#, #""at_ms":1699999999999"#),
        (#""at_ms":1700000001000"#, #""at_ms":1700000300001"#), (#""factor":"password""#, #""factor":"passkey""#),
        (#""amr":["pwd"]"#, #""amr":"pwd""#), (#""amr":["pwd"]"#, #""amr":["1","2","3","4","5","6","7","8","9"]"#),
        (#""amr":["pwd"],"#, ""), (#"{"v":1"#, #"{"x":1,"v":1"#), (#"{"v":1"#, #"[{"v":1"#), ("}]}", "}]} "), ("}]}", "}]}x"),
        (#""started_ms":1700000000000"#, #""started_ms":-9223372036854775809"#), (#""required":2"#, #""required":9223372036854775807"#),
    ]

    @Test("every other text is refused", arguments: changes)
    func strict(change: (from: String, to: String)) {
        let text = parked()
        #expect(SignInState(parked: Array(text.utf8)) != nil)
        let pieces = text.split(separator: change.from, maxSplits: 1, omittingEmptySubsequences: false)
        #expect(pieces.count == 2)
        let changed = pieces.joined(separator: change.to)
        // White space behind the value is JSON.
        #expect((SignInState(parked: Array(changed.utf8)) == nil) == (change.to != "}]} "))
    }

    @Test("a text cut anywhere is refused, and none is too long")
    func cut() {
        let bytes = Array(parked().utf8)
        for length in bytes.indices { #expect(SignInState(parked: Array(bytes[..<length])) == nil) }
        let huge = SignInState(
            account: "a1", accountEpoch: 3, goal: .login(JSONObject([("x", .string(String(repeating: "x", count: 16_384)))])),
            enrolled: [.password], requested: .oneFactor, validity: (startedAt: start, lifetime: .seconds(60))
        )
        #expect(huge.parked() == nil)
    }
}
