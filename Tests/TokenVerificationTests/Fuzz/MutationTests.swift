import AuthCore
import Testing
import TokenVerification

@Suite("IN-05, CVE-2026-34986, CVE-2024-21664: what an attacker may send never traps, and what was not signed is never accepted")
struct MutationTests {
    @Test("mutations of a token's text", arguments: [1, 2] as [UInt64])
    func tokens(_ seed: UInt64) throws {
        let presented = try Presented()
        let verifier = try presented.verifier()
        let token = try presented.token()
        var random = Seeded(seed)
        let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.=".utf8)
        for _ in 0..<10_000 {
            let mutated = random.mutated(token, alphabet: alphabet)
            if mutated != token { #expect(verifier.outcome(mutated, presented.requirements) != "accept") }
        }
    }

    @Test("mutations of header and payload before they are encoded and signed: parsed or malformed, never a trap")
    func claims() throws {
        let presented = try Presented()
        let verifier = try presented.verifier()
        let header = JSONValue.object(presented.header).encoded
        let payload = JSONValue.object(presented.claims).encoded
        let unsigned = TestKey(verification: presented.key.verification) { _ in [UInt8](repeating: 1, count: 63) }
        var random = Seeded(3)
        let alphabet = Array(#"{}[]",:0123456789.eE+-\untrflsak "#.utf8)
        var reasons: [String: Int] = [:]
        for number in 0..<100_000 {
            let token = try Presented.token(
                header: number % 2 == 0 ? random.mutated(header, alphabet: alphabet) : header,
                payload: number % 2 == 1 ? random.mutated(payload, alphabet: alphabet) : payload, key: unsigned)
            reasons[verifier.outcome(token, presented.requirements), default: 0] += 1
        }
        // A signature of 63 bytes is none; everything that is well-formed ends there.
        #expect(Set(reasons.keys).isSubset(of: ["malformed", "unsupported_algorithm", "unknown_key", "bad_signature"]))
        #expect(reasons.count == 4)
    }

    @Test("mutations of a JWK are a key or an error")
    func keys() throws {
        let keys = [
            try TestKey.es256(), try TestKey.edDSA(), try TestKey.es512(), try TestKey.rs256(),
        ].map { JSONValue.object($0.verification.publicJWK).encoded }
        var random = Seeded(4)
        let alphabet = Array(#"{}[]",:0123456789ABCDEFxyzkcrvty-_ "#.utf8)
        var read = 0
        var errors: Set<JWKError> = []
        for number in 0..<40_000 {
            guard let jwk = (try? JSONReader.read(random.mutated(keys[number % 4], alphabet: alphabet)))?.object else { continue }
            do throws(JWKError) {
                let key = try VerificationKey(jwk: jwk)
                #expect(!key.isValidSignature([UInt8](repeating: 1, count: 64), for: [1]))
                read += 1
            } catch {
                errors.insert(error)
            }
        }
        #expect(read > 10)
        #expect(errors.count > 4)
    }
}
