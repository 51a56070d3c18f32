import AuthCore
import Crypto
import Testing
import TokenVerification

@Suite("RFC 7515 §4 and RFC 8725: what a token's header may say")
struct HeaderTests {
    @Test("JW-02: none in any spelling is unsupported_algorithm, with or without a signature")
    func none() throws {
        for name in ["none", "None", "NONE", "nOnE", "", " none", "none ", "n\u{43E}ne"] {
            var presented = try Presented()
            presented.header["alg"] = .string(name)
            #expect(try presented.outcome() == "unsupported_algorithm", "\(name)")
            let bare = try presented.token().prefix { _ in true }
            let cut = try #require(bare.lastIndex(of: UInt8(ascii: ".")))
            #expect(try presented.verifier().outcome(Array(bare[...cut]), presented.requirements) == "unsupported_algorithm", "\(name)")
        }
    }

    @Test("JW-01, JW-03: HMAC with whatever form of a public key as its secret is unsupported_algorithm (CVE-2023-48238 and its like)")
    func confusion() throws {
        let presented = try Presented()
        let key = try P256.Signing.PrivateKey(rawRepresentation: [0] + [UInt8](repeating: 7, count: 31)).publicKey
        let jwk = JSONValue.object(presented.key.verification.publicJWK).encoded
        let secrets: [[UInt8]] = [
            [], Array(key.rawRepresentation), Array(key.x963Representation), Array(key.compressedRepresentation),
            Array(key.derRepresentation),
            Array(key.pemRepresentation.utf8), Array((key.pemRepresentation + "\n").utf8), jwk,
        ]
        for secret in secrets {
            for name in ["HS256", "HS384", "HS512"] {
                var header = presented.header
                header["alg"] = .string(name)
                let symmetric = SymmetricKey(data: secret)
                let forger = TestKey(verification: presented.key.verification) { input in
                    switch name {
                    case "HS256": Array(HMAC<SHA256>.authenticationCode(for: input, using: symmetric))
                    case "HS384": Array(HMAC<SHA384>.authenticationCode(for: input, using: symmetric))
                    default: Array(HMAC<SHA512>.authenticationCode(for: input, using: symmetric))
                    }
                }
                let token = try Presented.token(
                    header: JSONValue.object(header).encoded, payload: JSONValue.object(presented.claims).encoded, key: forger)
                #expect(try presented.verifier().outcome(token, presented.requirements) == "unsupported_algorithm")
            }
        }
    }

    @Test("JW-01: the algorithm is the key's; every other name in the header is unsupported_algorithm")
    func pinned() throws {
        let keys = [
            try TestKey.es256(), try TestKey.es384(), try TestKey.es512(), try TestKey.edDSA(), try TestKey.rs256(), try TestKey.ps256(),
        ]
        for key in keys {
            for name in ["ES256", "ES384", "ES512", "EdDSA", "RS256", "PS256", "RS384", "ES256K", "es256", "HS256", "RSA1_5", "dir"] {
                var presented = try Presented(key)
                presented.header["alg"] = .string(name)
                let expected = name == key.verification.algorithm.rawValue ? "accept" : "unsupported_algorithm"
                #expect(try presented.outcome() == expected, "\(key.verification.algorithm) \(name)")
            }
        }
    }

    @Test("an algorithm that no access token may have is refused before any key is looked for")
    func unsupportedBeforeUnknown() throws {
        for (name, expected) in [("HS256", "unsupported_algorithm"), ("PS512", "unsupported_algorithm"), ("EdDSA", "unknown_key")] {
            var presented = try Presented()
            presented.header["alg"] = .string(name)
            presented.header["kid"] = "nobody"
            #expect(try presented.outcome() == expected, "\(name)")
        }
    }

    @Test("JW-05: keys and places of keys in the header are never used")
    func embedded() throws {
        let attacker = try TestKey.es256("k1", seed: 99)
        let jwk = JSONValue.object(attacker.verification.publicJWK)
        for (name, value) in [
            ("jwk", jwk), ("jku", "https://attacker.example/jwks.json"), ("x5u", "https://attacker.example/cert"),
            ("x5c", .array(["MIIB"])),
            ("x5t", "abc"),
        ] as [(String, JSONValue)] {
            var presented = try Presented()
            presented.header[name] = value
            #expect(try presented.outcome() == "accept", "ignored: \(name)")
            presented.key = attacker
            #expect(try presented.outcome() == "bad_signature", "not used: \(name)")
        }
    }

    @Test("JW-06: kid is opaque, bounded, and finds a key byte by byte")
    func keyID() throws {
        let rows: [(JSONValue?, String)] = [
            ("k1", "accept"), ("K1", "unknown_key"), ("k1 ", "unknown_key"), ("../../etc/passwd", "unknown_key"),
            ("' OR 1=1 --", "unknown_key"),
            ("k1\u{0}", "unknown_key"), (.string(String(repeating: "x", count: 255)), "unknown_key"),
            (.string(String(repeating: "x", count: 256)), "malformed"), ("", "malformed"), (.integer(1), "malformed"), (.null, "malformed"),
            (.array(["k1"]), "malformed"), (nil, "unknown_key"), ("k2", "bad_signature"),
        ]
        for (value, expected) in rows {
            var presented = try Presented()
            presented.header["kid"] = value
            #expect(try presented.outcome() == expected, "\(String(describing: value))")
        }
    }

    @Test("without a kid the only key of a set is tried, and no other")
    func onlyKey() throws {
        var presented = try Presented()
        presented.header["kid"] = nil
        presented.keys = [presented.key]
        #expect(try presented.outcome() == "accept")
        presented.keys = [try TestKey.es256("k2", seed: 11)]
        #expect(try presented.outcome() == "bad_signature")
        presented.keys = []
        #expect(try presented.outcome() == "unknown_key")
    }

    @Test("JW-07, CVE-2025-59420, CVE-2026-32597: crit is refused whatever it names")
    func critical() throws {
        for text in ["[]", #"["exp"]"#, #"["b64"]"#, #"["alg"]"#, #"[""]"#, "null", "{}", "\"b64\"", "[1]", #"["x","x"]"#] {
            var presented = try Presented()
            presented.header["crit"] = try json(text)
            #expect(try presented.outcome() == "malformed", "\(text)")
        }
    }

    @Test("RFC 7797: an unencoded payload is refused")
    func unencoded() throws {
        for (text, expected) in [
            ("false", "malformed"), ("null", "malformed"), ("0", "malformed"), ("\"false\"", "malformed"), ("true", "accept"),
        ] {
            var presented = try Presented()
            presented.header["b64"] = try json(text)
            #expect(try presented.outcome() == expected, "\(text)")
        }
    }

    @Test("JW-08, RFC 9068 §4: typ is at+jwt, with or without application/, in either case of ASCII; no other kind passes")
    func type() throws {
        let rows: [(JSONValue?, String)] = [
            ("at+jwt", "accept"), ("AT+JWT", "accept"), ("application/at+jwt", "accept"), ("Application/At+Jwt", "accept"),
            (nil, "wrong_type"), ("JWT", "wrong_type"), ("", "wrong_type"), ("at+jwt ", "wrong_type"), ("at+jwtx", "wrong_type"),
            ("logout+jwt", "wrong_type"), ("dpop+jwt", "wrong_type"), ("identity+jwt", "wrong_type"), ("text/at+jwt", "wrong_type"),
            ("at+\u{237}wt", "wrong_type"), (.null, "malformed"), (.integer(1), "malformed"), (.array(["at+jwt"]), "malformed"),
        ]
        for (value, expected) in rows {
            var presented = try Presented()
            presented.header["typ"] = value
            #expect(try presented.outcome() == expected, "\(String(describing: value))")
        }
    }

    @Test("alg missing or no string is malformed")
    func algorithmType() throws {
        for value in [nil, .null, .integer(1), .array(["ES256"]), .object(JSONObject())] as [JSONValue?] {
            var presented = try Presented()
            presented.header["alg"] = value
            #expect(try presented.outcome() == "malformed", "\(String(describing: value))")
        }
    }

    @Test("unknown members of the header are ignored (RFC 7515 §4)")
    func unknown() throws {
        var presented = try Presented()
        presented.header["x-own"] = try json(#"{"a":[1,2]}"#)
        presented.header["cty"] = "JWT"
        presented.header["zip"] = "DEF"
        #expect(try presented.outcome() == "accept")
    }
}
