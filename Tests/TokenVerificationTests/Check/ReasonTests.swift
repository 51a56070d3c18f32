import AuthCore
import Testing
import TokenVerification

/// One way to make a good token bad, for each reason that this target gives.
struct Fault: Sendable, CustomTestStringConvertible {
    let reason: TokenRefusal
    let apply: @Sendable (inout Presented) -> Void

    var testDescription: String { reason.rawValue }

    private static let thumbprint = "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"

    static let all: [Fault] = [
        Fault(reason: .malformed) { $0.claims["jti"] = nil },
        Fault(reason: .unsupportedAlgorithm) { $0.header["alg"] = "none" },
        Fault(reason: .unknownKey) { $0.header["kid"] = "nobody" },
        Fault(reason: .badSignature) { $0.isSignatureBroken = true },
        Fault(reason: .wrongType) { $0.header["typ"] = "JWT" },
        Fault(reason: .wrongIssuer) { $0.claims["iss"] = "https://other.example" },
        Fault(reason: .notYetValid) { $0.claims["nbf"] = .integer(Presented.now + 61) },
        Fault(reason: .expired) { $0.claims["exp"] = .integer(Presented.now - 60) },
        Fault(reason: .revoked) { $0.revoked = [RevocationEntry(kind: .session, id: "s1", until: Instant(seconds: Presented.now + 700))] },
        Fault(reason: .wrongAudience) { $0.requirements.audience = .anyOf(["billing"]) },
        Fault(reason: .proofRequired) { $0.claims["cnf"] = .object(JSONObject([("jkt", .string(thumbprint))])) },
        Fault(reason: .invalidProof) {
            $0.claims["cnf"] = .object(JSONObject([("jkt", .string(thumbprint))]))
            $0.requirements.proof = SenderProof(key: .refused(.wrongTarget))
        },
        Fault(reason: .insufficientAuthentication) { $0.requirements.acrValues = ["2"] },
        Fault(reason: .insufficientScope) { $0.requirements.scope = ScopeSet(["orders:admin"]) },
    ]

    /// Two that can be true of one token at once. A proof is either missing or wrong.
    static let pairs: [(Fault, Fault)] = all.indices.flatMap { first in
        all.indices.filter { $0 > first }.map { (all[first], all[$0]) }
    }
    .filter { !($0.0.reason == .proofRequired && $0.1.reason == .invalidProof) }
}

@Suite("The reasons of a refusal and their precedence")
struct ReasonTests {
    @Test("a token that is good in every respect is accepted")
    func good() throws {
        #expect(try Presented().outcome() == "accept")
    }

    @Test("each fault alone gives its reason", arguments: Fault.all)
    func alone(_ fault: Fault) throws {
        var presented = try Presented()
        fault.apply(&presented)
        #expect(try presented.outcome() == fault.reason.rawValue)
    }

    @Test("of two faults the one that comes first in the contract's order is the reason (CVE-2024-51744)")
    func pairs() throws {
        for (first, second) in Fault.pairs {
            var presented = try Presented()
            second.apply(&presented)
            first.apply(&presented)
            #expect(try presented.outcome() == first.reason.rawValue, "with \(second.reason.rawValue)")
        }
        #expect(Fault.pairs.count == 90)
    }

    @Test("the reasons and their order are the contract's")
    func contract() {
        let reasons = [
            "malformed", "unsupported_algorithm", "unknown_key", "bad_signature", "wrong_type", "wrong_issuer", "not_yet_valid", "expired",
            "revoked", "wrong_audience", "proof_required", "invalid_proof", "insufficient_authentication", "insufficient_scope",
        ]
        #expect(TokenRefusal.allCases.map(\.rawValue) == reasons)
        #expect(Fault.all.map(\.reason) == TokenRefusal.allCases)
    }

    @Test("all faults at once are malformed")
    func everything() throws {
        var presented = try Presented()
        for fault in Fault.all.reversed() { fault.apply(&presented) }
        #expect(try presented.outcome() == "malformed")
    }

    @Test("an explanation names each check once, in order, and stops at the one that failed")
    func explanation() throws {
        let verifier = try Presented().verifier()
        var explanation: TokenExplanation? = TokenExplanation()
        #expect(verifier.outcome(try Presented().token(), try Presented().requirements, explaining: &explanation) == "accept")
        let names = [
            "format", "algorithm", "key", "key_algorithm", "signature", "type", "issuer", "not_before", "expiry", "revocation", "freshness",
            "audience", "authentication", "scope",
        ]
        #expect(explanation?.checks.map(\.name) == names)

        var presented = try Presented()
        presented.claims["iss"] = "https://other.example"
        explanation = TokenExplanation()
        _ = verifier.outcome(try presented.token(), presented.requirements, explaining: &explanation)
        let last = try #require(explanation?.checks.last)
        #expect(explanation?.checks.map(\.name) == Array(names.prefix(7)))
        #expect(last.expected == "https://issuer.example")
        #expect(last.found == "https://other.example")
        #expect(!last.passed)
    }

    @Test("a long text in an explanation is cut")
    func longExplanation() throws {
        var presented = try Presented()
        presented.claims["iss"] = .string(String(repeating: "x", count: 2_000))
        var explanation: TokenExplanation? = TokenExplanation()
        _ = try presented.verifier().outcome(try presented.token(), presented.requirements, explaining: &explanation)
        let found = try #require(explanation?.checks.last?.found)
        #expect(found.utf8.count <= TokenCheck.textBytesMax + 3)
    }

    @Test("a token that fails after its signature is remembered as verified, never as refused")
    func verificationNotVerdict() throws {
        var presented = try Presented()
        presented.requirements.audience = .anyOf(["billing"])
        let verifier = try presented.verifier()
        let token = try presented.token()
        #expect(verifier.outcome(token, presented.requirements) == "wrong_audience")
        #expect(verifier.cacheBytes > 0)
        presented.requirements.audience = .anyOf(["orders"])
        #expect(verifier.outcome(token, presented.requirements) == "accept")
    }
}
