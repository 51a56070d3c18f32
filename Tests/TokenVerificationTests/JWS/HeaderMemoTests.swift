import AuthCore
import Testing
import TokenVerification

@Suite("Headers that have been read before")
struct HeaderMemoTests {
    @Test("a header that begins like a known one, or is the beginning of one, is read for itself")
    func prefixes() throws {
        let presented = try Presented()
        let verifier = try presented.verifier()
        let token = try presented.token()
        let dot = try #require(token.firstIndex(of: UInt8(ascii: ".")))
        #expect(verifier.outcome(token, presented.requirements) == "accept")
        #expect(verifier.outcome(Array(token[..<dot]) + Array("AAAA".utf8) + Array(token[dot...]), presented.requirements) == "malformed")
        #expect(verifier.outcome(Array(token[..<(dot - 4)]) + Array(token[dot...]), presented.requirements) == "malformed")
    }

    @Test("the answer does not depend on what was verified before")
    func independent() throws {
        let fresh = try Presented()
        let verifier = try fresh.verifier()
        for round in 0..<2 {
            for fault in Fault.all where fault.reason != .revoked {
                var presented = try Presented()
                fault.apply(&presented)
                let outcome = verifier.outcome(try presented.token(), presented.requirements)
                #expect(outcome == fault.reason.rawValue, "round \(round)")
            }
            #expect(verifier.outcome(try fresh.token(), fresh.requirements) == "accept")
        }
    }

    @Test("more headers than are remembered, in turn")
    func many() throws {
        let keys = try (0..<7).map { try TestKey.es256(Identifier("key\($0)"), seed: UInt8($0 + 20)) }
        var presented = try Presented(keys[0])
        presented.keys = keys
        let verifier = try presented.verifier()
        for round in 0..<3 {
            for key in keys {
                presented.key = key
                presented.header["kid"] = .string(key.id.text)
                presented.claims["jti"] = .string("\(round)")
                #expect(verifier.outcome(try presented.token(), presented.requirements) == "accept")
            }
        }
        presented.key = keys[1]
        #expect(verifier.outcome(try presented.token(), presented.requirements) == "bad_signature")
    }
}
