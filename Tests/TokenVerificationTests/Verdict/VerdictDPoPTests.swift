import AuthCore
import Testing
import TokenVerification

@Suite("gatehouse verdict dpop")
struct VerdictDPoPTests {
    private func line(_ proof: PresentedProof) throws -> JSONObject {
        var line = JSONObject([
            ("id", "row 1"), ("proof", .string(String(decoding: try proof.text(), as: UTF8.self))), ("method", .string(proof.method)),
            ("url", .string(proof.url)), ("now", .integer(Presented.now)),
        ])
        if let token = proof.accessToken { line["access_token"] = .string(String(decoding: token, as: UTF8.self)) }
        if let nonce = proof.nonce { line["nonce"] = .string(nonce) }
        return line
    }

    @Test("a good proof: id, verdict, a null reason and the thumbprint")
    func accepted() throws {
        let proof = try PresentedProof()
        let answer = VerdictDPoP.answer(try line(proof))
        #expect(answer.names == ["id", "verdict", "reason", "jkt"])
        #expect(answer["verdict"]?.string == "accept")
        #expect(answer["reason"]?.isNull == true)
        #expect(answer["jkt"]?.string == proof.key.verification.thumbprint)
        var lenient = try line(proof)
        lenient["access_token"] = .null
        lenient["nonce"] = .null
        #expect(VerdictDPoP.answer(lenient)["verdict"]?.string == "accept")
    }

    @Test("a bad one: the slug of DPoPProofError, and no thumbprint")
    func refused() throws {
        var proof = try PresentedProof()
        proof.nonce = "n1"
        let answer = VerdictDPoP.answer(try line(proof))
        #expect(answer["verdict"]?.string == "reject")
        #expect(answer["reason"]?.string == "proof_nonce_missing")
        #expect(answer["jkt"] == nil)
        var other = try line(try PresentedProof())
        other["access_token"] = "another"
        #expect(VerdictDPoP.answer(other)["reason"]?.string == "proof_wrong_token")
    }

    @Test("a line that is no case is an error and keeps its id")
    func invalid() throws {
        let good = try line(try PresentedProof())
        let changes: [(String, JSONValue?)] = [
            ("proof", nil), ("proof", .integer(1)), ("method", nil), ("method", .null), ("url", nil), ("url", "orders"), ("now", nil),
            ("now", "1800000000"), ("now", .integer(-1)), ("nonce", .integer(1)), ("access_token", .array([])),
        ]
        for (name, value) in changes {
            var line = good
            line[name] = value
            let answer = VerdictDPoP.answer(line)
            #expect(answer["verdict"]?.string == "error", "\(name)")
            #expect(answer["id"]?.string == "row 1")
        }
    }
}
