import AuthCore
import Testing
import TokenVerification

@Suite("gatehouse verdict: token, jws and json")
struct VerdictTests {
    private func line(_ presented: Presented) throws -> JSONObject {
        let keys = JSONValue.array(presented.keys.map { .object($0.verification.publicJWK) })
        return JSONObject([
            ("id", "row 1"), ("token", .string(String(decoding: try presented.token(), as: UTF8.self))),
            ("issuer", .string(Presented.issuer.text)),
            ("audience", "orders"), ("now", .integer(Presented.now)), ("jwks", .object(JSONObject([("keys", keys)]))),
            ("scope", "orders:read"),
        ])
    }

    @Test("an accepted token: id, verdict, a null reason, and every check")
    func accepted() throws {
        let answer = VerdictToken.answer(try line(try Presented()))
        #expect(answer.names == ["id", "verdict", "reason", "checks"])
        #expect(answer["id"]?.string == "row 1")
        #expect(answer["verdict"]?.string == "accept")
        #expect(answer["reason"]?.isNull == true)
        let checks = try #require(answer["checks"]?.array)
        #expect(checks.compactMap { $0.object?["name"]?.string }.first == "format")
        #expect(checks.allSatisfy { $0.object?["passed"]?.bool == true })
        #expect(!checks.contains { $0.object?["name"]?.string == "freshness" })
    }

    @Test("GW-21: the verdict is what the serving code says, fault by fault", arguments: Fault.all)
    func sameAsServing(_ fault: Fault) throws {
        // What the line has no field for cannot happen there.
        if [.revoked, .invalidProof, .insufficientAuthentication].contains(fault.reason) {
            #expect(TokenRefusal.allCases.contains(fault.reason))
            return
        }
        var presented = try Presented()
        fault.apply(&presented)
        var line = try line(presented)
        if case .anyOf(let audiences) = presented.requirements.audience { line["audience"] = .array(audiences.map { .string($0.text) }) }
        line["scope"] = .string(presented.requirements.scope.description)
        let answer = VerdictToken.answer(line)
        #expect(answer["verdict"]?.string == "reject")
        #expect(answer["reason"]?.string == (try presented.outcome()))
        #expect(answer["checks"]?.array?.last?.object?["passed"]?.bool == false)
    }

    @Test("sid, gid and ver are optional, a long lifetime is allowed, a null audience is any")
    func lenient() throws {
        var presented = try Presented()
        for name in ["sid", "gid", "ver", "scope", "acr", "amr", "auth_time"] { presented.claims[name] = nil }
        presented.claims["exp"] = .integer(Presented.now + 1_000_000_000)
        var line = try line(presented)
        line["scope"] = nil
        line["audience"] = .null
        #expect(VerdictToken.answer(line)["verdict"]?.string == "accept")
    }

    @Test("leeway is 60 s by default and 0 to 60 s")
    func leeway() throws {
        var presented = try Presented()
        presented.claims["exp"] = .integer(Presented.now - 30)
        var line = try line(presented)
        #expect(VerdictToken.answer(line)["verdict"]?.string == "accept")
        for (leeway, expected) in [
            (.integer(60), "accept"), (.integer(31), "accept"), (.integer(30), "reject"), (.integer(0), "reject"), (.integer(61), "error"),
            (.integer(-1), "error"), ("60", "error"), (.null, "accept"),
        ] as [(JSONValue, String)] {
            line["leeway"] = leeway
            #expect(VerdictToken.answer(line)["verdict"]?.string == expected, "\(leeway)")
        }
    }

    @Test("a line that is no case of its kind is an error and keeps its id")
    func invalidTokenCase() throws {
        let good = try line(try Presented())
        let changes: [(String, JSONValue?)] = [
            ("token", nil), ("token", .integer(1)), ("issuer", nil), ("issuer", .null), ("audience", nil), ("audience", .integer(1)),
            ("audience", .array([.integer(1)])), ("now", nil), ("now", "1800000000"), ("now", .integer(-1)), ("jwks", nil), ("jwks", "x"),
            ("jwks", .object(JSONObject())), ("jwks", .array([])), ("scope", .integer(1)), ("scope", "a  b"), ("leeway", "x"),
        ]
        for (name, value) in changes {
            var line = good
            line[name] = value
            let answer = VerdictToken.answer(line)
            #expect(answer["verdict"]?.string == "error", "\(name)")
            #expect(answer["reason"]?.string == "invalid_case")
            #expect(answer["id"]?.string == "row 1")
        }
        #expect(VerdictToken.answer(JSONObject())["id"]?.isNull == true)
    }

    @Test("a key set with a secret in it, or a kid twice, counts as empty")
    func refusedSet() throws {
        let presented = try Presented()
        var line = try line(presented)
        let key = presented.key.verification.publicJWK
        for other in [key, try jsonObject(#"{"kty":"oct","k":"AAAA","kid":"s"}"#)] {
            line["jwks"] = .object(JSONObject([("keys", .array([.object(key), .object(other)]))]))
            #expect(VerdictToken.answer(line)["reason"]?.string == "unknown_key")
        }
    }

    @Test("jws: the order of reasons, and what is no case")
    func jws() throws {
        let presented = try Presented()
        let key = JSONValue.object(presented.key.verification.publicJWK)
        let token = String(decoding: try presented.token(), as: UTF8.self)
        let parts = token.split(separator: ".").map(String.init)
        let good = JSONObject([("id", .integer(7)), ("jws", .string(token)), ("jwk", key)])
        #expect(VerdictJWS.answer(good)["id"]?.int == 7)
        let rows: [(String, JSONValue?, String, String?)] = [
            ("jws", .string(token), "accept", nil), ("jws", .string(token + "="), "reject", "malformed"),
            ("jws", .string(token + "A"), "reject", "bad_signature"),
            ("jws", .string("\(parts[0]).\(parts[1])."), "reject", "bad_signature"), ("jws", .object(JSONObject()), "reject", "malformed"),
            ("jws", .string(#"{"payload":"x"}"#), "reject", "malformed"), ("jws", nil, "error", "invalid_case"),
            ("jws", .null, "error", "invalid_case"),
            ("jwk", nil, "error", "invalid_case"), ("jwk", "x", "error", "invalid_case"),
            ("jwk", .object(JSONObject()), "reject", "unknown_key"),
            ("jwk", .object(try TestKey.edDSA().verification.publicJWK), "reject", "unsupported_algorithm"),
            ("jwk", .object(try TestKey.es256("z", seed: 3).verification.publicJWK), "reject", "bad_signature"),
        ]
        for (name, value, verdict, reason) in rows {
            var line = good
            line[name] = value
            let answer = VerdictJWS.answer(line)
            #expect(answer["verdict"]?.string == verdict, "\(name) \(String(describing: value))")
            #expect(answer["reason"]?.string == reason)
            #expect((answer["payload_b64"] != nil) == (verdict == "accept"))
        }
    }

    @Test("CVE-2026-44699: an RSA key without alg is no HMAC key, and an RSA key goes for PS256 when it does not say RS256")
    func rsaWithoutAlgorithm() throws {
        for key in [try TestKey.rs256(), try TestKey.ps256()] {
            var jwk = key.verification.publicJWK
            jwk["alg"] = nil
            let token = String(decoding: try Presented(key).token(), as: UTF8.self)
            #expect(VerdictJWS.answer(JSONObject([("jws", .string(token)), ("jwk", .object(jwk))]))["verdict"]?.string == "accept")
            jwk["alg"] = "RS256"
            let answer = VerdictJWS.answer(JSONObject([("jws", .string(token)), ("jwk", .object(jwk))]))
            #expect(answer["reason"]?.string == (key.verification.algorithm == .rs256 ? nil : "unsupported_algorithm"))
            // {"alg":"HS256"} signed with an empty key.
            jwk["alg"] = nil
            let empty = "eyJhbGciOiJIUzI1NiJ9.e30.jBgY-FXb3N6ZxHUbIQZZ8WMtbBfkRHKZFbIyBXxVPTs"
            let forged = VerdictJWS.answer(JSONObject([("jws", .string(empty)), ("jwk", .object(jwk))]))
            #expect(forged["reason"]?.string == "unsupported_algorithm")
        }
    }

    @Test("JW-04: an HMAC key is at least as long as its hash, and its use is respected")
    func macKeys() throws {
        let token = "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.e30.AA"
        func reason(_ jwk: String) throws -> String? {
            VerdictJWS.answer(JSONObject([("jws", .string(token)), ("jwk", try json(jwk))]))["reason"]?.string
        }
        let long = Base64URL.encode([UInt8](repeating: 1, count: 32))
        let short = Base64URL.encode([UInt8](repeating: 1, count: 31))
        #expect(try reason(#"{"kty":"oct","k":"\#(long)"}"#) == "bad_signature")
        #expect(try reason(#"{"kty":"oct","k":"\#(short)"}"#) == "unknown_key")
        #expect(try reason(#"{"kty":"oct","k":""}"#) == "unknown_key")
        #expect(try reason(#"{"kty":"oct"}"#) == "unknown_key")
        #expect(try reason(#"{"kty":"oct","k":"\#(long)="}"#) == "unknown_key")
        #expect(try reason(#"{"kty":"oct","k":"\#(long)","use":"enc"}"#) == "unknown_key")
        #expect(try reason(#"{"kty":"oct","k":"\#(long)","alg":"HS384"}"#) == "unknown_key")
        let longer = Base64URL.encode([UInt8](repeating: 1, count: 48))
        #expect(try reason(#"{"kty":"oct","k":"\#(longer)","alg":"HS384"}"#) == "unsupported_algorithm")
        #expect(try reason(#"{"kty":"oct","k":"\#(long)","alg":"A256KW"}"#) == "unknown_key")
    }

    @Test("json: standard base64 in, the reader's own reason out")
    func jsonKind() throws {
        let rows: [([UInt8], String, String?)] = [
            (Array("{}".utf8), "accept", nil), (Array(" [1, 2.5e3] ".utf8), "accept", nil), (Array("{".utf8), "reject", "syntax"),
            (Array(#"{"a":1,"\u0061":2}"#.utf8), "reject", "duplicate_member"), ([0x22, 0xFF, 0x22], "reject", "invalid_utf8"),
            (Array("1 1".utf8), "reject", "trailing_bytes"), (Array(repeating: UInt8(ascii: "["), count: 100_000), "reject", "too_deep"),
            ([], "reject", "syntax"),
        ]
        for (bytes, verdict, reason) in rows {
            let answer = VerdictJSON.answer(JSONObject([("id", "j"), ("bytes_b64", .string(Base64.encode(bytes)))]))
            #expect(answer["verdict"]?.string == verdict)
            #expect(answer["reason"]?.string == reason)
        }
        for text in ["e30", "e3 0=", "_w==", "*"] {
            #expect(VerdictJSON.answer(JSONObject([("bytes_b64", .string(text))]))["verdict"]?.string == "error", "\(text)")
        }
        #expect(VerdictJSON.answer(JSONObject([("bytes_b64", .integer(1))]))["reason"]?.string == "invalid_case")
        #expect(VerdictJSON.answer(JSONObject())["reason"]?.string == "invalid_case")
    }
}
