import AuthCore
import Testing
import TokenVerification

@Suite("RFC 9449 §4.3 checking DPoP proofs")
struct DPoPProofTests {
    @Test("§4.2, §7.1: the examples of the RFC, and the thumbprint of their key (§6.1)")
    func examples() throws {
        let vectors = try #require(try Vectors.json("rfc-vectors/rfc-vectors.json")["vectors"]?.object?["dpop_rfc9449"]?.object)
        let token = try #require(vectors["access_token"]?.string)
        let jkt = try #require(vectors["jkt"]?.string)
        let atToken = DPoPRequest(method: "POST", target: try #require(DPoPTarget(url: "https://server.example.com/token")))
        let target = try #require(DPoPTarget(url: "https://resource.example.org/protectedresource"))
        let atResource = DPoPRequest(method: "GET", target: target, accessToken: token.utf8)
        let first = try DPoPProof(RFC9449.tokenRequest.utf8, for: atToken, at: Instant(seconds: 1_562_262_616))
        #expect(first.jkt == jkt)
        #expect(first.id == "-BwC3ESc6acc2lTc")
        #expect(first.issuedAt == Instant(seconds: 1_562_262_616))
        let second = try DPoPProof(RFC9449.resourceRequest.utf8, for: atResource, at: Instant(seconds: 1_562_262_618))
        #expect(second.jkt == jkt)
        // Neither is good for the other's request.
        #expect(throws: DPoPProofError.wrongMethod) {
            try DPoPProof(RFC9449.resourceRequest.utf8, for: atToken, at: Instant(seconds: 1_562_262_618))
        }
    }

    @Test(
        "the algorithms: each allowed one, and no other",
        arguments: [
            ("ES256", "accept"), ("EdDSA", "accept"), ("PS256", "accept"), ("RS256", "accept"), ("ES384", "proof_unsupported_algorithm"),
            ("ES512", "proof_unsupported_algorithm"),
        ])
    func algorithms(_ name: String, _ expected: String) throws {
        let keys = [
            try TestKey.es256(), try TestKey.edDSA(), try TestKey.ps256(), try TestKey.rs256(), try TestKey.es384(), try TestKey.es512(),
        ]
        let key = try #require(keys.first { $0.verification.algorithm.rawValue == name })
        var proof = try PresentedProof(key)
        #expect(try proof.outcome() == expected)
        #expect(DPoPProof.algorithms.contains { $0.rawValue == name } == (expected == "accept"))
        // A key need not name its algorithm.
        var jwk = key.verification.publicJWK
        for member in ["alg", "use", "kid"] { jwk[member] = nil }
        proof.header["jwk"] = .object(jwk)
        #expect(try proof.outcome() == expected)
        if expected == "accept" {
            #expect(try DPoPProof(try proof.text(), for: try proof.request(), at: proof.now).jkt == key.verification.thumbprint)
        }
    }

    @Test(
        "checks 2 and 3: one well-formed JWT with all required members",
        arguments: ["jti", "htm", "htu", "iat"].map { name in ProofRow("no \(name)", "proof_malformed") { $0.claims[name] = nil } }
            + ["jti", "htm", "htu", "nonce", "ath"].map { name in ProofRow("\(name) 1", "proof_malformed") { $0.claims[name] = .integer(1) }
            }
            + ["jti", "htm", "htu", "iat", "nonce", "ath", "exp", "nbf"].map { name in
                ProofRow("\(name) null", "proof_malformed") { $0.claims[name] = .null }
            } + [
                ProofRow("good", "accept") { _ in },
                ProofRow("iat text", "proof_malformed") { $0.claims["iat"] = "1800000000" },
                ProofRow("iat in milliseconds", "proof_malformed") { $0.claims["iat"] = .integer(Presented.now * 1_000) },
                ProofRow("iat with a fraction", "accept") { $0.claims["iat"] = try json("1799999999.5") },
                ProofRow("jti empty", "proof_malformed") { $0.claims["jti"] = "" },
                ProofRow("jti of 256 bytes", "accept") { $0.claims["jti"] = .string(String(repeating: "j", count: 256)) },
                ProofRow("jti of 257 bytes", "proof_malformed") { $0.claims["jti"] = .string(String(repeating: "j", count: 257)) },
                ProofRow("no alg", "proof_malformed") { $0.header["alg"] = nil },
                ProofRow("no jwk", "proof_malformed") { $0.header["jwk"] = nil },
                ProofRow("jwk text", "proof_malformed") { $0.header["jwk"] = "x" },
                ProofRow("crit", "proof_malformed") { $0.header["crit"] = .array([]) },
                ProofRow("claims and header members that are unknown", "accept") {
                    $0.claims["x"] = .object(JSONObject([("jti", "y")]))
                    $0.header["x5u"] = "https://evil.example/"
                    $0.header["kid"] = "another"
                },
                ProofRow("8 KiB and more", "proof_malformed") { $0.claims["x"] = .string(String(repeating: "x", count: 6_200)) },
                ProofRow("nearly 8 KiB", "accept") { $0.claims["x"] = .string(String(repeating: "x", count: 5_200)) },
            ])
    func wellFormed(_ row: ProofRow) throws {
        #expect(try row.outcome() == row.expected)
    }

    @Test("check 2: duplicate members, more or fewer parts, several proofs in one field")
    func shapes() throws {
        let proof = try PresentedProof()
        let request = try proof.request()
        let good = String(decoding: try proof.text(), as: UTF8.self)
        let parts = good.split(separator: ".")
        for text in [
            "", ".", "..", "\(parts[0]).\(parts[1])", "\(good).", "\(good).\(parts[2])", "\(good), \(good)", "\(good),\(good)", " \(good)",
            "\(good) ", "\(good)=", "{}", "DPoP \(good)",
        ] {
            #expect(PresentedProof.outcome(Array(text.utf8), request, proof.now) == "proof_malformed", "\(text)")
        }
        #expect(PresentedProof.outcome(Array("\(parts[0]).\(parts[1]).".utf8), request, proof.now) == "proof_bad_signature")
        let header = JSONValue.object(proof.header).text
        let claims = JSONValue.object(proof.claims).text
        for (header, claims) in [
            (header.dropLast() + #","alg":"ES256"}"#, claims[...]), (header.dropLast() + #","jwk":{}}"#, claims[...]),
            (header[...], claims.dropLast() + #","htu":"https://api.example/orders"}"#),
            (header[...], claims.dropLast() + #","jti":"p1"}"#),
            (header[...], claims.dropLast() + #","x":{"a":1,"a":1}}"#), (header[...], "[]"), (header[...], "\"x\""), ("[]", claims[...]),
        ] as [(Substring, Substring)] {
            let text = try Presented.token(header: Array(header.utf8), payload: Array(claims.utf8), key: proof.key)
            #expect(PresentedProof.outcome(text, request, proof.now) == "proof_malformed", "\(header) \(claims)")
        }
    }

    @Test(
        "check 4: typ is dpop+jwt",
        arguments: [nil, "JWT", "at+jwt", "jwt", "", "dpop", "dpop+jwt ", "xdpop+jwt", "dpop+jw\u{442}"].map { type in
            ProofRow("typ \(type ?? "absent")", "proof_wrong_type") { $0.header["typ"] = type.map { .string($0) } }
        } + ["DPoP+JWT", "application/dpop+jwt"].map { type in ProofRow("typ \(type)", "accept") { $0.header["typ"] = .string(type) } })
    func type(_ row: ProofRow) throws {
        #expect(try row.outcome() == row.expected)
    }

    @Test(
        "check 5: an asymmetric algorithm that is allowed",
        arguments: ["none", "None", "", "HS256", "HS512", "ES256K", "es256", "RSA-OAEP", "ES384", "PS512"].map { name in
            ProofRow("alg \(name)", "proof_unsupported_algorithm") { $0.header["alg"] = .string(name) }
        } + [
            ProofRow("alg of another kind of key", "proof_unusable_key") { $0.header["alg"] = "EdDSA" },
            ProofRow("alg of an RSA key", "proof_unusable_key") { $0.header["alg"] = "PS256" },
            ProofRow("HMAC with the public key", "proof_unsupported_algorithm") {
                $0.header["alg"] = "HS256"
                $0.header["jwk"] = .object(JSONObject([("kty", "oct"), ("k", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")]))
            },
        ])
    func algorithm(_ row: ProofRow) throws {
        #expect(try row.outcome() == row.expected)
    }

    @Test(
        "check 6: the signature is of the key in jwk",
        arguments: [
            ProofRow("flipped", "proof_bad_signature") { $0.isSignatureBroken = true },
            ProofRow("another key", "proof_bad_signature") {
                $0.header["jwk"] = .object(try TestKey.es256("other", seed: 33).verification.publicJWK)
            },
            ProofRow("no point of the curve", "proof_unusable_key") {
                var jwk = $0.key.verification.publicJWK
                jwk["y"] = jwk["x"]
                $0.header["jwk"] = .object(jwk)
            },
            ProofRow("a key for encryption", "proof_unusable_key") {
                var jwk = $0.key.verification.publicJWK
                jwk["use"] = "enc"
                $0.header["jwk"] = .object(jwk)
            },
            ProofRow("a curve that is not known", "proof_unusable_key") {
                var jwk = $0.key.verification.publicJWK
                jwk["crv"] = "secp256k1"
                $0.header["jwk"] = .object(jwk)
            },
            ProofRow("an empty key", "proof_unusable_key") { $0.header["jwk"] = .object(JSONObject()) },
        ])
    func signature(_ row: ProofRow) throws {
        #expect(try row.outcome() == row.expected)
    }

    @Test(
        "check 7, CVE-2026-54431: jwk holds no private and no symmetric key, though the signature be good",
        arguments: ["d", "p", "q", "dp", "dq", "qi", "oth", "k"].map { name in
            ProofRow("jwk with \(name)", "proof_secret_key") {
                var jwk = $0.key.verification.publicJWK
                jwk[name] = "AAAA"
                $0.header["jwk"] = .object(jwk)
            }
        } + [
            ProofRow("kty oct", "proof_secret_key") { $0.header["jwk"] = .object(JSONObject([("kty", "oct"), ("k", "AAAA")])) }
        ])
    func secretKey(_ row: ProofRow) throws {
        #expect(try row.outcome() == row.expected)
    }

    @Test(
        "check 8: htm is the method, in its own case",
        arguments: [
            ProofRow("POST for GET", "proof_wrong_method") { $0.claims["htm"] = "POST" },
            ProofRow("get for GET", "proof_wrong_method") { $0.claims["htm"] = "get" },
            ProofRow("empty", "proof_wrong_method") { $0.claims["htm"] = "" },
            ProofRow("GET with a space", "proof_wrong_method") { $0.claims["htm"] = "GET " },
            ProofRow("a method of one's own", "accept") {
                $0.claims["htm"] = "purge"
                $0.method = "purge"
            },
        ])
    func method(_ row: ProofRow) throws {
        #expect(try row.outcome() == row.expected)
    }

    @Test(
        "check 10: nonce, where the server asks for one",
        arguments: [
            ProofRow("none asked for", "accept") { $0.claims["nonce"] = "whatever" },
            ProofRow("the nonce", "accept") {
                $0.claims["nonce"] = "n1"
                $0.nonce = "n1"
            },
            ProofRow("none sent", "proof_nonce_missing") { $0.nonce = "n1" },
            ProofRow("another", "proof_wrong_nonce") {
                $0.claims["nonce"] = "n2"
                $0.nonce = "n1"
            },
        ])
    func nonce(_ row: ProofRow) throws {
        #expect(try row.outcome() == row.expected)
    }

    @Test(
        "check 11, DP-10: iat within 60 s",
        arguments: [
            (0, "accept"), (-60, "accept"), (-61, "proof_expired"), (10, "accept"), (60, "accept"), (61, "proof_not_yet_valid"),
            (-100_000_000, "proof_expired"), (100_000_000, "proof_not_yet_valid"),
        ] as [(Int64, String)])
    func issuedAt(_ seconds: Int64, _ expected: String) throws {
        #expect(try ProofRow("iat", expected) { $0.claims["iat"] = .integer(Presented.now + seconds) }.outcome() == expected)
    }

    @Test(
        "RFC 7519 §4.1.4, §4.1.5: exp and nbf hold where a proof has them",
        arguments: [
            ProofRow("exp ahead", "accept") { $0.claims["exp"] = .integer(Presented.now + 1) },
            ProofRow("exp behind", "proof_expired") { $0.claims["exp"] = .integer(Presented.now - 60) },
            ProofRow("nbf behind", "accept") { $0.claims["nbf"] = .integer(Presented.now) },
            ProofRow("nbf ahead", "proof_not_yet_valid") { $0.claims["nbf"] = .integer(Presented.now + 61) },
        ])
    func otherTimes(_ row: ProofRow) throws {
        #expect(try row.outcome() == row.expected)
    }

    @Test(
        "check 12: ath is the hash of the access token that came along",
        arguments: [
            ProofRow("none", "proof_wrong_token") { $0.claims["ath"] = nil },
            ProofRow("of another token", "proof_wrong_token") { $0.accessToken = Array("another".utf8) },
            ProofRow("the token itself", "proof_wrong_token") { $0.claims["ath"] = "an.access.token" },
            ProofRow("in hexadecimal", "proof_wrong_token") { $0.claims["ath"] = .string(String(repeating: "0", count: 64)) },
            ProofRow("padded", "proof_wrong_token") {
                $0.claims["ath"] = .string(Base64URL.encode(TokenHash(of: PresentedProof.accessToken).bytes) + "=")
            },
            ProofRow("no token came along, and no ath", "accept") {
                $0.accessToken = nil
                $0.claims["ath"] = nil
            },
            ProofRow("no token came along", "accept") { $0.accessToken = nil },
        ])
    func accessToken(_ row: ProofRow) throws {
        #expect(try row.outcome() == row.expected)
    }

    @Test("the reasons are in order of precedence: with every fault from one on, that one is the answer")
    func precedence() throws {
        let faults: [(DPoPProofError, @Sendable (inout PresentedProof) throws -> Void)] = [
            (.malformed, { $0.claims["jti"] = nil }), (.wrongType, { $0.header["typ"] = "JWT" }),
            (.unsupportedAlgorithm, { $0.header["alg"] = "none" }),
            (
                .secretKey,
                {
                    var jwk = $0.header["jwk"]?.object ?? JSONObject()
                    jwk["d"] = "AAAA"
                    $0.header["jwk"] = .object(jwk)
                }
            ), (.unusableKey, { $0.header["jwk"] = .object(JSONObject([("kty", "EC")])) }),
            (.badSignature, { $0.isSignatureBroken = true }), (.wrongMethod, { $0.claims["htm"] = "PUT" }),
            (.wrongTarget, { $0.claims["htu"] = "https://api.example/" }), (.nonceMissing, { $0.nonce = "n1" }),
            (
                .wrongNonce,
                {
                    $0.nonce = "n1"
                    $0.claims["nonce"] = "n0"
                }
            ), (.expired, { $0.claims["iat"] = .integer(Presented.now - 61) }),
            (.notYetValid, { $0.claims["iat"] = .integer(Presented.now + 61) }), (.wrongToken, { $0.claims["ath"] = nil }),
        ]
        #expect(faults.map(\.0) == DPoPProofError.allCases)
        for first in faults.indices {
            var proof = try PresentedProof()
            for (reason, change) in faults[first...].reversed() where reason != .nonceMissing || first <= 8 {
                // A proof either lacks the nonce or has another.
                if reason == .wrongNonce, first < 9 { continue }
                try change(&proof)
            }
            #expect(try proof.outcome() == faults[first].0.rawValue)
        }
    }

    @Test("IN-05: mutations of a proof are refused, those of its parts are read or refused, and nothing traps")
    func mutations() throws {
        let proof = try PresentedProof()
        let request = try proof.request()
        let good = try proof.text()
        var random = Seeded(9_449)
        let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.=,".utf8)
        for _ in 0..<5_000 {
            let mutated = random.mutated(good, alphabet: alphabet)
            if mutated != good { #expect(PresentedProof.outcome(mutated, request, proof.now) != "accept") }
        }
        let header = JSONValue.object(proof.header).encoded
        let payload = JSONValue.object(proof.claims).encoded
        let unsigned = TestKey(verification: proof.key.verification) { _ in [UInt8](repeating: 1, count: 63) }
        let jsonAlphabet = Array(#"{}[]",:0123456789.eE+-\untrflsak "#.utf8)
        var reasons: Set<String> = []
        for number in 0..<20_000 {
            let text = try Presented.token(
                header: number % 2 == 0 ? random.mutated(header, alphabet: jsonAlphabet) : header,
                payload: number % 2 == 1 ? random.mutated(payload, alphabet: jsonAlphabet) : payload, key: unsigned)
            reasons.insert(PresentedProof.outcome(text, request, proof.now))
        }
        #expect(
            reasons == [
                "proof_malformed", "proof_wrong_type", "proof_unsupported_algorithm", "proof_secret_key", "proof_unusable_key",
                "proof_bad_signature",
            ])
    }
}

/// The proofs that RFC 9449 prints, §4.2 (figure 1) and §7.1; the text of an RFC may be copied under the Trust Legal Provisions.
enum RFC9449 {
    private static let header =
        "eyJ0eXAiOiJkcG9wK2p3dCIsImFsZyI6IkVTMjU2IiwiandrIjp7Imt0eSI6IkVDIiwieCI6Imw4dEZyaHgtMzR0VjNoUklDUkRZOXpDa0RscEJoRjQyVVFVZldW"
        + "QVdCRnMiLCJ5IjoiOVZFNGpmX09rX282NHpiVFRsY3VOSmFqSG10NnY5VERWclUwQ2R2R1JEQSIsImNydiI6IlAtMjU2In19"
    static let tokenRequest =
        header
        + ".eyJqdGkiOiItQndDM0VTYzZhY2MybFRjIiwiaHRtIjoiUE9TVCIsImh0dSI6Imh0dHBzOi8vc2VydmVyLmV4YW1wbGUuY29tL3Rva2VuIiwiaWF0IjoxNTYyMjYy"
        + "NjE2fQ.2-GxA6T8lP4vfrg8v-FdWP0A0zdrj8igiMLvqRMUvwnQg4PtFLbdLXiOSsX0x7NVY-FNyJK70nfbV37xRZT3Lg"
    static let resourceRequest =
        header
        + ".eyJqdGkiOiJlMWozVl9iS2ljOC1MQUVCIiwiaHRtIjoiR0VUIiwiaHR1IjoiaHR0cHM6Ly9yZXNvdXJjZS5leGFtcGxlLm9yZy9wcm90ZWN0ZWRyZXNvdXJjZSIs"
        + "ImlhdCI6MTU2MjI2MjYxOCwiYXRoIjoiZlVIeU8ycjJaM0RaNTNFc05yV0JiMHhXWG9hTnk1OUlpS0NBcWtzbVFFbyJ9"
        + ".2oW9RP35yRqzhrtNP86L-Ey71EOptxRimPPToA1plemAgR6pxHF8y6-yqyVnmcw6Fy1dqd-jfxSYoMxhAJpLjA"
}

extension JSONValue {
    fileprivate var text: String { String(decoding: encoded, as: UTF8.self) }
}
