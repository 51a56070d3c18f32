import AuthCore
import Testing
import TokenVerification

@Suite("RFC 9449 §7, RFC 8705 §3, RFC 7800 §3: a bound token comes from whom it is bound to")
struct SenderTests {
    private static func jkt(_ seed: UInt8 = 21) throws -> String { try TestKey.es256("device", seed: seed).verification.thumbprint }
    private static let x5t = Base64URL.encode([UInt8](repeating: 5, count: 32))
    private static let otherX5T = Base64URL.encode([UInt8](repeating: 6, count: 32))

    private static func cnf(_ members: (String, String)...) -> JSONValue {
        .object(JSONObject(members.map { (name: $0.0, value: .string($0.1)) }))
    }

    @Test(
        "bound to a key",
        arguments: [
            RequirementRow("its proof", "accept") {
                $0.claims["cnf"] = cnf(("jkt", try jkt()))
                $0.requirements.proof = try PresentedProof().sender()
            },
            RequirementRow("alone, as a bearer token", "proof_required") { $0.claims["cnf"] = cnf(("jkt", try jkt())) },
            RequirementRow("with a certificate and no proof", "proof_required") {
                $0.claims["cnf"] = cnf(("jkt", try jkt()))
                $0.requirements.proof = SenderProof(key: .none, certificate: x5t)
            },
            RequirementRow("the proof of another key", "invalid_proof") {
                $0.claims["cnf"] = cnf(("jkt", try jkt(22)))
                $0.requirements.proof = try PresentedProof().sender()
            },
            RequirementRow("a proof that is none", "invalid_proof") {
                $0.claims["cnf"] = cnf(("jkt", try jkt()))
                $0.requirements.proof = SenderProof(key: .refused(.expired))
            },
        ])
    func key(_ row: RequirementRow) throws {
        #expect(try row.outcome() == row.expected)
    }

    @Test(
        "bound to a certificate (RFC 8705 §3)",
        arguments: [
            RequirementRow("its certificate", "accept") {
                $0.claims["cnf"] = cnf(("x5t#S256", x5t))
                $0.requirements.proof = SenderProof(key: .none, certificate: x5t)
            },
            RequirementRow("none", "proof_required") { $0.claims["cnf"] = cnf(("x5t#S256", x5t)) },
            RequirementRow("another", "invalid_proof") {
                $0.claims["cnf"] = cnf(("x5t#S256", x5t))
                $0.requirements.proof = SenderProof(key: .none, certificate: otherX5T)
            },
            RequirementRow("a proof of a key instead", "proof_required") {
                $0.claims["cnf"] = cnf(("x5t#S256", x5t))
                $0.requirements.proof = try PresentedProof().sender()
            },
            RequirementRow("under the DPoP scheme, and not bound to the key", "invalid_proof") {
                $0.claims["cnf"] = cnf(("x5t#S256", x5t))
                $0.requirements.proof = try PresentedProof().sender(certificate: x5t)
            },
        ])
    func certificate(_ row: RequirementRow) throws {
        #expect(try row.outcome() == row.expected)
    }

    @Test(
        "bound to both, or to what is not known here",
        arguments: [
            RequirementRow("both shown", "accept") {
                $0.claims["cnf"] = cnf(("jkt", try jkt()), ("x5t#S256", x5t))
                $0.requirements.proof = try PresentedProof().sender(certificate: x5t)
            },
            RequirementRow("the key alone", "proof_required") {
                $0.claims["cnf"] = cnf(("jkt", try jkt()), ("x5t#S256", x5t))
                $0.requirements.proof = try PresentedProof().sender()
            },
            RequirementRow("the certificate alone", "proof_required") {
                $0.claims["cnf"] = cnf(("jkt", try jkt()), ("x5t#S256", x5t))
                $0.requirements.proof = SenderProof(key: .none, certificate: x5t)
            },
            RequirementRow("another certificate", "invalid_proof") {
                $0.claims["cnf"] = cnf(("jkt", try jkt()), ("x5t#S256", x5t))
                $0.requirements.proof = try PresentedProof().sender(certificate: otherX5T)
            },
            RequirementRow("an unknown method", "proof_required") {
                $0.claims["cnf"] = cnf(("kid", "x"))
                $0.requirements.proof = try PresentedProof().sender(certificate: x5t)
            },
            RequirementRow("an unknown method beside a known one", "proof_required") {
                $0.claims["cnf"] = cnf(("jkt", try jkt()), ("kid", "x"))
                $0.requirements.proof = try PresentedProof().sender()
            },
            RequirementRow("an empty cnf", "proof_required") { $0.claims["cnf"] = cnf() },
            RequirementRow("cnf a string", "malformed") { $0.claims["cnf"] = "x" },
            RequirementRow("jkt no thumbprint", "malformed") { $0.claims["cnf"] = cnf(("jkt", "short")) },
            RequirementRow("jkt null", "malformed") { $0.claims["cnf"] = try json(#"{"jkt":null}"#) },
            RequirementRow("x5t#S256 no thumbprint", "malformed") { $0.claims["cnf"] = cnf(("x5t#S256", "abc")) },
            RequirementRow("x5t#S256 a number", "malformed") { $0.claims["cnf"] = try json(##"{"x5t#S256":1}"##) },
        ])
    func both(_ row: RequirementRow) throws {
        #expect(try row.outcome() == row.expected)
    }

    @Test(
        "bound to nothing: good alone and with a certificate, not under the DPoP scheme (RFC 9449 §7.1)",
        arguments: [
            RequirementRow("alone", "accept") { _ in },
            RequirementRow("with a certificate", "accept") { $0.requirements.proof = SenderProof(key: .none, certificate: x5t) },
            RequirementRow("with a proof", "invalid_proof") { $0.requirements.proof = try PresentedProof().sender() },
            RequirementRow("with a bad proof", "invalid_proof") { $0.requirements.proof = SenderProof(key: .refused(.malformed)) },
        ])
    func unbound(_ row: RequirementRow) throws {
        #expect(try row.outcome() == row.expected)
    }

    @Test("§11.1: a proof is used up by the token that it is good for, and by no other")
    func usedUp() throws {
        let replay = ProofReplay(window: .seconds(10), countMax: 2)
        var bound = try Presented()
        bound.claims["cnf"] = Self.cnf(("jkt", try Self.jkt()))
        let verifier = try bound.verifier()
        let token = try bound.token()
        func outcome(_ change: (inout PresentedProof) -> Void, _ token: [UInt8], _ requirements: TokenRequirements) throws -> String {
            var proof = try PresentedProof()
            change(&proof)
            var requirements = requirements
            requirements.proof = try proof.sender(replay: replay)
            return verifier.outcome(token, requirements)
        }
        // Neither a token that is bound to nothing nor one for elsewhere takes a place.
        #expect(try outcome({ _ in }, try Presented().token(), bound.requirements) == "invalid_proof")
        #expect(try outcome({ _ in }, token, TokenRequirements(audience: .anyOf(["billing"]))) == "wrong_audience")
        #expect(replay.count == 0)
        #expect(try outcome({ _ in }, token, bound.requirements) == "accept")
        #expect(try outcome({ _ in }, token, bound.requirements) == "invalid_proof")
        // The reasons keep their order: a used proof comes before a scope that is missing.
        #expect(try outcome({ _ in }, token, TokenRequirements(scope: ScopeSet(["x"]))) == "invalid_proof")
        #expect(try outcome({ $0.claims["jti"] = "p2" }, token, TokenRequirements(scope: ScopeSet(["x"]))) == "insufficient_scope")
        #expect(try outcome({ $0.claims["jti"] = "p3" }, token, bound.requirements) == "overloaded")
        #expect(try outcome({ $0.claims["jti"] = "p2" }, token, bound.requirements) == "invalid_proof")
    }

    @Test("an explanation says which fault a proof has")
    func explained() throws {
        var presented = try Presented()
        presented.claims["cnf"] = Self.cnf(("jkt", try Self.jkt()))
        presented.requirements.proof = SenderProof(key: .refused(.wrongTarget))
        var explanation: TokenExplanation? = TokenExplanation()
        #expect(
            try presented.verifier().outcome(try presented.token(), presented.requirements, explaining: &explanation) == "invalid_proof")
        let last = try #require(explanation?.checks.last)
        #expect(last.name == "proof")
        #expect(last.found == "proof_wrong_url")
        #expect(last.expected == "key \(try Self.jkt())")
    }

    @Test("the SHA-256 of a certificate is read in base64url and in hexadecimal")
    func thumbprints() {
        let hexadecimal = String(repeating: "05", count: 32)
        #expect(SenderProof.certificate(Self.x5t) == Self.x5t)
        #expect(SenderProof.certificate(hexadecimal) == Self.x5t)
        #expect(SenderProof.certificate("FF" + hexadecimal.dropFirst(2)) == SenderProof.certificate("ff" + hexadecimal.dropFirst(2)))
        for text in [
            "", "x", Self.x5t + "=", String(Self.x5t.dropLast()), String(hexadecimal.dropLast()), hexadecimal + "0",
            "zz" + hexadecimal.dropFirst(2),
        ] {
            #expect(SenderProof.certificate(text) == nil, "\(text)")
        }
    }
}
