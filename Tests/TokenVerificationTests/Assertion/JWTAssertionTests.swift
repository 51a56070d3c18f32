import AuthCore
import Crypto
import Testing

@testable import TokenVerification

/// A JWT of a client, good in every respect for `rules`.
struct ClientAssertion {
    static let now: Int64 = 1_800_000_000
    static let secret = [UInt8]("0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef".utf8)

    var header: JSONObject
    var claims = JSONObject([
        ("iss", "client"), ("sub", "client"), ("aud", "https://issuer.example"), ("jti", "a1"), ("iat", .integer(now - 5)),
        ("exp", .integer(now + 60)),
    ])
    var key: TestKey
    var keys: [JSONObject]
    var secret: [UInt8]?
    var rules: JWTAssertionRules

    init(_ key: TestKey? = nil) throws {
        let key = try key ?? TestKey.es256()
        self.key = key
        keys = [try TestKey.es256("other", seed: 11).verification.publicJWK, key.verification.publicJWK]
        header = JSONObject([("alg", .string(key.verification.algorithm.rawValue)), ("kid", .string(key.id.text))])
        rules = JWTAssertionRules(
            algorithms: [.es256, .es384, .es512, .rs256, .rs384, .rs512, .ps256, .ps384, .ps512, .edDSA],
            audience: .contains(["https://issuer.example", "https://issuer.example/token"]))
        rules.issuer = "client"
        rules.subject = "client"
        rules.required = [.id]
        rules.lifetimeMax = .seconds(300)
    }

    func text() throws -> String {
        let input =
            Base64URL.encodedBytes(JSONValue.object(header).encoded) + [UInt8(ascii: ".")]
            + Base64URL.encodedBytes(JSONValue.object(claims).encoded)
        return String(decoding: input + [UInt8(ascii: ".")] + Base64URL.encodedBytes(try key.sign(input)), as: UTF8.self)
    }

    func verified() throws(JWTAssertionRefusal) -> JWTAssertion {
        let keys: JWTAssertionKeys
        do {
            keys =
                if let secret { .secret(Secret(secret)) } else {
                    .keySet(try ForeignKeys(jwks: JSONObject([("keys", .array(self.keys.map { .object($0) }))])))
                }
        } catch { throw .unknownKey }
        guard let text = try? text() else { throw .malformed }
        return try PresentedJWT(Secret(text)).verified(with: keys, by: rules, at: Instant(seconds: ClientAssertion.now))
    }

    var outcome: String {
        do throws(JWTAssertionRefusal) {
            _ = try verified()
            return "accept"
        } catch { return error.rawValue }
    }

    /// Signed with HMAC over the bytes `secret`, and named so.
    mutating func sign(_ algorithm: SignatureAlgorithm, with secret: [UInt8]) {
        header["alg"] = .string(algorithm.rawValue)
        let symmetric = SymmetricKey(data: secret)
        key = TestKey(verification: key.verification) { message in
            switch algorithm {
            case .hs384: Array(HMAC<SHA384>.authenticationCode(for: message, using: symmetric))
            case .hs512: Array(HMAC<SHA512>.authenticationCode(for: message, using: symmetric))
            default: Array(HMAC<SHA256>.authenticationCode(for: message, using: symmetric))
            }
        }
    }
}

/// One change of a good assertion, and the answer to it.
struct AssertionChange: CustomTestStringConvertible, Sendable {
    let testDescription: String
    let outcome: String
    let apply: @Sendable (inout ClientAssertion) throws -> Void

    init(_ name: String, _ outcome: String, _ apply: @escaping @Sendable (inout ClientAssertion) throws -> Void) {
        testDescription = name
        self.outcome = outcome
        self.apply = apply
    }

    static func claim(_ name: String, _ value: JSONValue?, _ outcome: String) -> AssertionChange {
        AssertionChange("\(name): \(value.map { String(decoding: $0.encoded, as: UTF8.self) } ?? "absent")", outcome) {
            $0.claims[name] = value
        }
    }

    static func header(_ name: String, _ value: JSONValue?, _ outcome: String) -> AssertionChange {
        AssertionChange("header \(name): \(value.map { String(decoding: $0.encoded, as: UTF8.self) } ?? "absent")", outcome) {
            $0.header[name] = value
        }
    }

    private static let now = ClientAssertion.now

    static let claims: [AssertionChange] = [
        claim("iss", nil, "wrong_issuer"), claim("iss", "other", "wrong_issuer"), claim("iss", .integer(1), "malformed"),
        claim("iss", "", "malformed"), claim("sub", nil, "wrong_subject"), claim("sub", "other", "wrong_subject"),
        claim("aud", nil, "wrong_audience"), claim("aud", .array([]), "wrong_audience"),
        claim("aud", "https://issuer.example/", "wrong_audience"),
        claim("aud", "https://issuer.exampl", "wrong_audience"), claim("aud", .array(["x", "https://issuer.example/token"]), "accept"),
        claim("aud", .array(["x"]), "wrong_audience"), claim("aud", .array([.integer(1)]), "malformed"), claim("aud", .null, "malformed"),
        claim("exp", nil, "malformed"), claim("exp", .string("1800000060"), "malformed"), claim("exp", .integer(-1), "malformed"),
        claim("exp", .integer(.max), "malformed"), claim("exp", .integer(now - 10), "expired"), claim("exp", .integer(now - 9), "accept"),
        claim("exp", .integer(now + 296), "lifetime_too_long"), claim("exp", .integer(now + 315_360_000), "lifetime_too_long"),
        claim("iat", nil, "accept"), claim("iat", .integer(now + 10), "accept"), claim("iat", .integer(now + 11), "not_yet_valid"),
        claim("iat", .integer(now - 300), "lifetime_too_long"), claim("nbf", .integer(now + 11), "not_yet_valid"),
        claim("nbf", .integer(now + 8), "accept"), claim("nbf", .integer(now + 10), "accept"),
        claim("nbf", .integer(now - 1), "accept"), claim("nbf", .string("x"), "malformed"), claim("jti", nil, "malformed"),
        claim("jti", .integer(5), "malformed"), claim("jti", .string(String(repeating: "j", count: 256)), "malformed"),
        AssertionChange("no iat, and exp too far ahead", "lifetime_too_long") {
            $0.claims["iat"] = nil
            $0.claims["exp"] = .integer(now + 311)
        },
        AssertionChange("too old", "lifetime_too_long") { $0.rules.ageMax = .milliseconds(-5_001) },
        AssertionChange("iat asked for", "malformed") {
            $0.rules.required = [.issuedAt]
            $0.claims["iat"] = nil
        },
        AssertionChange("nbf asked for", "malformed") { $0.rules.required = [.notBefore] },
        AssertionChange("a string for aud, as FAPI asks", "accept") { $0.rules.audience = .only("https://issuer.example") },
        AssertionChange("a list for aud, against FAPI", "wrong_audience") {
            $0.rules.audience = .only("https://issuer.example")
            $0.claims["aud"] = .array(["https://issuer.example"])
        },
        AssertionChange("the token endpoint for aud, against FAPI", "wrong_audience") {
            $0.rules.audience = .only("https://issuer.example")
            $0.claims["aud"] = "https://issuer.example/token"
        },
        AssertionChange("expired, where that does not matter", "accept") {
            $0.rules.expiry = .ignored
            $0.claims["exp"] = .integer(now - 1_000_000)
            $0.claims["iat"] = .integer(now - 1_000_100)
        },
        AssertionChange("no exp, where it need not be", "accept") {
            $0.rules.expiry = .optional
            $0.claims["exp"] = nil
        },
        AssertionChange("expired, where exp need not be", "expired") {
            $0.rules.expiry = .optional
            $0.claims["exp"] = .integer(now - 10)
        },
    ]

    static let headers: [AssertionChange] = [
        header("alg", nil, "malformed"), header("alg", "none", "unsupported_algorithm"), header("alg", "NONE", "unsupported_algorithm"),
        header("alg", "nOnE", "unsupported_algorithm"), header("alg", "", "unsupported_algorithm"),
        header("alg", "es256", "unsupported_algorithm"), header("alg", "HS256", "unsupported_algorithm"),
        header("alg", "ES384", "unknown_key"), header("alg", "RS256", "unknown_key"), header("alg", "EdDSA", "unknown_key"),
        header("crit", .array(["b64"]), "malformed"), header("crit", .array([]), "malformed"), header("b64", .bool(false), "malformed"),
        header("kid", "nobody", "unknown_key"), header("kid", "other", "bad_signature"), header("kid", nil, "accept"),
        header("kid", "", "malformed"), header("typ", "anything", "accept"),
        header("jwk", .object(JSONObject([("kty", "EC")])), "accept"), header("jku", "https://evil.example/jwks", "accept"),
        AssertionChange("an algorithm that is not allowed", "unsupported_algorithm") { $0.rules.algorithms = [.ps256, .edDSA] },
        AssertionChange("typ as asked", "accept") {
            $0.rules.types = ["oauth-authz-req+jwt", "client-authentication+jwt"]
            $0.header["typ"] = "application/Client-Authentication+JWT"
        },
        AssertionChange("another typ", "wrong_type") {
            $0.rules.types = ["client-authentication+jwt"]
            $0.header["typ"] = "at+jwt"
        },
        AssertionChange("no typ where one is asked for", "wrong_type") { $0.rules.types = ["JWT"] },
        AssertionChange("no typ where it need not be", "accept") {
            $0.rules.types = ["JWT"]
            $0.rules.allowsNoType = true
        },
        AssertionChange("two keys of one kid, the second has signed", "accept") {
            $0.keys[0]["kid"] = $0.keys[1]["kid"]
        },
        AssertionChange("a key without kid, named by its thumbprint", "accept") {
            $0.header["kid"] = .string($0.key.verification.thumbprint)
            $0.keys[1]["kid"] = nil
        },
        AssertionChange("a key without kid, and another name", "unknown_key") { $0.keys[1]["kid"] = nil },
        AssertionChange("a key for encryption", "unknown_key") { $0.keys[1]["use"] = "enc" },
        AssertionChange("a key of another algorithm", "unknown_key") { $0.keys[1]["alg"] = "ECDH-ES" },
        AssertionChange("a private key in the set", "unknown_key") { $0.keys[0]["d"] = "AA" },
        AssertionChange("the fifth key of one kid is not tried", "bad_signature") { assertion in
            let others = try (1...4).map { try TestKey.es256(assertion.key.id, seed: UInt8(20 + $0)).verification.publicJWK }
            assertion.keys = others + [assertion.keys[1]]
        },
        AssertionChange("the fourth is", "accept") { assertion in
            let others = try (1...3).map { try TestKey.es256(assertion.key.id, seed: UInt8(20 + $0)).verification.publicJWK }
            assertion.keys = others + [assertion.keys[1]]
        },
    ]
}

@Suite("RFC 7523 §3, RFC 8725: a JWT that somebody else has signed")
struct JWTAssertionTests {
    @Test("each claim, with its answer", arguments: AssertionChange.claims)
    func claims(_ change: AssertionChange) throws {
        var assertion = try ClientAssertion()
        #expect(assertion.outcome == "accept")
        try change.apply(&assertion)
        #expect(assertion.outcome == change.outcome)
    }

    @Test("each header and key, with its answer (JW-01, JW-02, JW-05, JW-07, JW-08, JW-19)", arguments: AssertionChange.headers)
    func headers(_ change: AssertionChange) throws {
        var assertion = try ClientAssertion()
        try change.apply(&assertion)
        #expect(assertion.outcome == change.outcome)
    }

    @Test("every algorithm of public keys, and what is read of the token")
    func algorithms() throws {
        for key in [
            try TestKey.es256(), try .es384(), try .es512(), try .edDSA(), try .rs256(), try .ps256(), try .rs384(), try .rs512(),
            try .ps384(), try .ps512(),
        ] {
            var assertion = try ClientAssertion(key)
            let verified = try assertion.verified()
            #expect(verified.keyID == key.id && verified.algorithm == key.verification.algorithm)
            #expect(verified.issuer == "client" && verified.subject == "client" && verified.id == "a1")
            #expect(verified.audience == ["https://issuer.example"])
            #expect(verified.claims["jti"]?.string == "a1")
            #expect(verified.expiresAt == Instant(seconds: ClientAssertion.now + 60))
            // The key need not name its algorithm: the caller has allowed it.
            assertion.keys[1]["alg"] = nil
            #expect(assertion.outcome == "accept")
            let sound = assertion.key.sign
            assertion.key = TestKey(verification: key.verification) { message in
                var signature = try sound(message)
                signature[5] ^= 1
                return signature
            }
            #expect(assertion.outcome == "bad_signature")
        }
    }

    @Test("an RSA key under another algorithm than was signed with is no key, or no signature")
    func crossed() throws {
        for name in ["PS256", "RS384", "RS512", "PS384", "PS512"] {
            var assertion = try ClientAssertion(try .rs256())
            assertion.header["alg"] = .string(name)
            #expect(assertion.outcome == "unknown_key", "the key says RS256")
            assertion.keys[1]["alg"] = nil
            #expect(assertion.outcome == "bad_signature")
        }
    }

    @Test("a shared secret goes with HMAC alone, and is as long as the hash (RFC 7518 §3.2, CA-12)")
    func secrets() throws {
        for (algorithm, bytes) in [(SignatureAlgorithm.hs256, 32), (.hs384, 48), (.hs512, 64)] {
            var assertion = try ClientAssertion()
            let secret = Array(ClientAssertion.secret.prefix(bytes))
            assertion.rules.algorithms = [.hs256, .hs384, .hs512, .es256]
            assertion.secret = secret
            assertion.sign(algorithm, with: secret)
            #expect(assertion.outcome == "accept")
            #expect(try assertion.verified().keyID == nil)
            assertion.secret = secret.dropLast() + [secret[0] ^ 1]
            #expect(assertion.outcome == "bad_signature")
            assertion.secret = secret.dropLast()
            assertion.sign(algorithm, with: secret.dropLast())
            #expect(assertion.outcome == "unsupported_algorithm")
        }
        var asymmetric = try ClientAssertion()
        asymmetric.secret = ClientAssertion.secret
        #expect(asymmetric.outcome == "unsupported_algorithm")
    }

    @Test("no public key in any form is ever a secret of HMAC (JW-03, CVE-2023-48238, CVE-2024-54150)")
    func confusion() throws {
        for key in [try TestKey.es256(), try .rs256(), try .edDSA()] {
            let jwk = key.verification.publicJWK
            var forms = [JSONValue.object(jwk).encoded, []]
            for member in ["n", "x", "y"] {
                if let text = jwk[member]?.string {
                    forms.append(Array(text.utf8))
                    forms.append(Base64URL.decode(text) ?? [])
                }
            }
            for form in forms {
                for algorithm in [SignatureAlgorithm.hs256, .hs384, .hs512] {
                    var assertion = try ClientAssertion(key)
                    assertion.rules.algorithms.formUnion([.hs256, .hs384, .hs512])
                    assertion.sign(algorithm, with: form)
                    #expect(assertion.outcome == "unsupported_algorithm")
                }
            }
        }
        #expect(throws: KeySetError.secretKey) { try ForeignKeys(jwks: try jsonObject(#"{"keys":[{"kty":"oct","k":"AAAA"}]}"#)) }
    }

    @Test("what is claimed can be read before it is verified; what is no JWT is malformed")
    func presented() throws {
        var assertion = try ClientAssertion()
        assertion.claims["client_id"] = "c"
        let presented = try PresentedJWT(Secret(try assertion.text()))
        #expect(presented.claimedIssuer == "client" && presented.claimedSubject == "client" && presented.claimedClient == "c")
        #expect(presented.keyID == assertion.key.id)
        let token = try assertion.text()
        let dots = token.split(separator: ".", omittingEmptySubsequences: false).map(String.init)
        let bad = [
            "", ".", "..", "...", dots[0], dots[0] + "." + dots[1], token + ".", "." + token, token + "=", " " + token,
            dots[0] + ".W10." + dots[2], dots[0] + "." + Base64URL.encode(Array(#"{"iss":"a","iss":"b"}"#.utf8)) + "." + dots[2],
            dots[0] + "." + String(repeating: "A", count: 16_384) + "." + dots[2],
            #"{"payload":"e30","signatures":[]}"#,
        ]
        for text in bad { #expect(throws: JWTAssertionRefusal.malformed) { try PresentedJWT(Secret(text)) } }
    }

    @Test("Wycheproof: RSA with SHA-384 and SHA-512 under the algorithm that the key names")
    func wycheproof() throws {
        var seen = 0
        for row in try WycheproofCase.all("json_web_signature_test") {
            guard var jwk = row.group["public"]?.object, let name = jwk["alg"]?.string, let text = row.test["jws"]?.string,
                ["RS384", "RS512", "PS384", "PS512"].contains(name), let algorithm = SignatureAlgorithm(rawValue: name)
            else { continue }
            jwk["kid"] = nil
            let key = try VerificationKey(jwk: jwk, as: algorithm)
            let bytes = Array(text.utf8)
            let isValid = bytes.withUnsafeBufferPointer { buffer in
                guard let parsed = try? CompactJWS(buffer), parsed.header.algorithm == algorithm else { return false }
                return key.isValidSignature(parsed.signature, for: parsed.signingInput)
            }
            #expect(isValid == row.isValid, "\(row.id)")
            seen += 1
        }
        #expect(seen >= 16)
    }

    @Test("mutations never trap, and what was not signed is never accepted", arguments: [1, 2] as [UInt64])
    func mutations(_ seed: UInt64) throws {
        let assertion = try ClientAssertion()
        let keys = JWTAssertionKeys.keySet(try ForeignKeys(jwks: JSONObject([("keys", .array(assertion.keys.map { .object($0) }))])))
        let token = Array(try assertion.text().utf8)
        let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.=".utf8)
        var random = Seeded(seed)
        for _ in 0..<5_000 {
            let mutated = String(decoding: random.mutated(token, alphabet: alphabet), as: UTF8.self)
            if mutated.utf8.elementsEqual(token) { continue }
            #expect(throws: JWTAssertionRefusal.self) {
                try PresentedJWT(Secret(mutated)).verified(with: keys, by: assertion.rules, at: Instant(seconds: ClientAssertion.now))
            }
        }
    }
}
