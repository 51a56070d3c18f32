import AuthCore
import Crypto
import CryptoExtras
import Testing
import TokenVerification

@Suite("RFC 7517 §4, RFC 7518 §6, RFC 8037 §2: public keys as JWK")
struct JWKTests {
    private static let ec =
        #"{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}"#
    private static let okp = #"{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#

    private func error(_ jwk: JSONObject) -> String {
        do throws(JWKError) {
            _ = try VerificationKey(jwk: jwk)
            return "accept"
        } catch {
            return error.rawValue
        }
    }

    private func error(_ base: String, _ changes: [(String, JSONValue?)]) throws -> String {
        var jwk = try jsonObject(base)
        for (name, value) in changes { jwk[name] = value }
        return error(jwk)
    }

    @Test("JW-18: an EC key is a canonical point of its curve")
    func ellipticCurve() throws {
        let x = "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU"
        let rows: [([(String, JSONValue?)], String)] = [
            ([], "accept"), ([("crv", "P-384")], "invalid_encoding"), ([("crv", "P-521")], "invalid_encoding"),
            ([("crv", "secp256k1")], "unsupported_curve"), ([("crv", "Ed25519")], "unsupported_curve"), ([("crv", nil)], "missing_member"),
            ([("crv", .integer(256))], "missing_member"), ([("x", nil)], "missing_member"), ([("y", nil)], "missing_member"),
            ([("y", .null)], "missing_member"), ([("y", .string(x))], "invalid_point"),
            ([("x", .string(String(repeating: "A", count: 43))), ("y", .string(String(repeating: "A", count: 43)))], "invalid_point"),
            ([("x", .string(Base64URL.encode([UInt8](repeating: 0xFF, count: 32))))], "invalid_point"),
            ([("x", .string(x + "="))], "invalid_encoding"),
            ([("x", .string("AA" + x))], "invalid_encoding"), ([("x", .string(String(x.dropLast(2))))], "invalid_encoding"),
            ([("x", .string(String(x.dropLast()) + "V"))], "invalid_encoding"), ([("kty", "ec")], "unsupported_key_type"),
            ([("kty", nil)], "missing_member"), ([("kty", "RSA")], "missing_member"), ([("kty", "OKP")], "unsupported_curve"),
            ([("d", "abc")], "private_member"),
        ]
        for (changes, expected) in rows { #expect(try error(JWKTests.ec, changes) == expected, "\(changes)") }
    }

    @Test("JW-18, RFC 8032 §5.1.3: an Ed25519 key is canonical and of large order")
    func edwards() throws {
        func x(_ hex: String) -> [(String, JSONValue?)] { [("x", .string(Base64URL.encode(unhexed(hex))))] }
        let ff = String(repeating: "ff", count: 30)
        let zero = String(repeating: "00", count: 31)
        let rows: [([(String, JSONValue?)], String)] = [
            ([], "accept"), ([("crv", "Ed448")], "unsupported_curve"), ([("crv", "X25519")], "unsupported_curve"),
            ([("x", "AAAA")], "invalid_encoding"), (x("ed" + ff + "7f"), "invalid_point"), (x("ee" + ff + "7f"), "invalid_point"),
            (x("ff" + ff + "ff"), "invalid_point"), (x("00" + zero), "invalid_point"), (x("01" + zero), "invalid_point"),
            (x("01" + String(repeating: "00", count: 30) + "80"), "invalid_point"), (x("ec" + ff + "7f"), "invalid_point"),
            (x("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"), "invalid_point"),
            (x("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85"), "invalid_point"),
            (x("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a"), "invalid_point"),
            (x("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa"), "invalid_point"), ([("d", "abc")], "private_member"),
        ]
        for (changes, expected) in rows { #expect(try error(JWKTests.okp, changes) == expected, "\(changes)") }
    }

    @Test("JW-18, RFC 7518 §3.3: an RSA key has 2 048 to 8 192 bits, an odd modulus and an odd exponent from 3")
    func rsa() throws {
        let good = try TestKey.rs256().verification.publicJWK
        let modulus = try #require(good["n"]?.string.flatMap { Base64URL.decode($0) })
        func row(_ name: String, _ bytes: [UInt8]) -> [(String, JSONValue?)] { [(name, .string(Base64URL.encode(bytes)))] }
        var short = Array(modulus.dropFirst())
        short[0] |= 0x80
        var bits2047 = modulus
        bits2047[0] &= 0x7F
        let rows: [([(String, JSONValue?)], String)] = [
            ([], "accept"), (row("e", [1, 0, 1]), "accept"), (row("e", [3]), "accept"), (row("e", [1]), "weak_key"),
            (row("e", [2]), "weak_key"),
            (row("e", []), "invalid_encoding"), (row("e", [0, 3]), "invalid_encoding"), (row("e", [1, 0, 0]), "weak_key"),
            (row("e", [1, 0, 0, 0, 1]), "weak_key"), (row("n", [0] + modulus), "invalid_encoding"), (row("n", short), "weak_key"),
            (row("n", bits2047), "weak_key"), (row("n", modulus.dropLast() + [modulus[255] & 0xFE]), "weak_key"),
            (row("n", [0x80] + [UInt8](repeating: 3, count: 1_024)), "weak_key"), ([("n", nil)], "missing_member"),
            ([("e", nil)], "missing_member"),
            ([("e", .integer(65_537))], "missing_member"), ([("alg", nil)], "accept"), ([("alg", "PS256")], "accept"),
            ([("alg", "RS384")], "unsupported_algorithm"), ([("alg", "RSA-OAEP")], "unsupported_algorithm"),
        ]
        for (changes, expected) in rows {
            var jwk = good
            for (name, value) in changes { jwk[name] = value }
            #expect(error(jwk) == expected, "\(changes.map(\.0)) \(expected)")
        }
        var withoutAlgorithm = good
        withoutAlgorithm["alg"] = nil
        #expect(try VerificationKey(jwk: withoutAlgorithm).algorithm == .rs256)
    }

    @Test("JW-19: use, key_ops and alg are respected")
    func purpose() throws {
        let rows: [([(String, JSONValue?)], String)] = [
            ([("use", "sig")], "accept"), ([("use", "enc")], "not_for_signatures"), ([("use", "SIG")], "not_for_signatures"),
            ([("use", .null)], "not_for_signatures"), ([("key_ops", .array(["verify"]))], "accept"),
            ([("key_ops", .array(["sign", "verify"]))], "accept"), ([("key_ops", .array(["sign"]))], "not_for_signatures"),
            ([("key_ops", .array([]))], "not_for_signatures"), ([("key_ops", .array(["verify", "verify"]))], "not_for_signatures"),
            ([("key_ops", "verify")], "not_for_signatures"),
            ([("key_ops", .array((0..<17).map { .string("op\($0)") } + ["verify"]))], "not_for_signatures"),
            ([("alg", "ES256")], "accept"), ([("alg", "ES384")], "unsupported_algorithm"), ([("alg", "RS256")], "unsupported_algorithm"),
            ([("alg", "none")], "unsupported_algorithm"), ([("alg", "HS256")], "unsupported_algorithm"),
            ([("alg", .null)], "unsupported_algorithm"),
            ([("kid", "")], "invalid_key_id"), ([("kid", .integer(1))], "invalid_key_id"),
            ([("kid", .string(String(repeating: "k", count: 256)))], "invalid_key_id"),
            ([("x5c", .array(["MIIB"])), ("ext", .bool(true))], "accept"),
        ]
        for (changes, expected) in rows { #expect(try error(JWKTests.ec, changes) == expected, "\(changes)") }
    }

    @Test("no private member and no symmetric key passes, whatever the kind")
    func secrets() throws {
        for name in ["d", "p", "q", "dp", "dq", "qi", "oth", "k"] {
            for value in ["abc", .null] as [JSONValue] {
                #expect(try error(JWKTests.ec, [(name, value)]) == "private_member")
                #expect(try error(JWKTests.okp, [(name, value)]) == "private_member")
            }
        }
        #expect(error(try jsonObject(#"{"kty":"oct","k":"AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T"}"#)) == "symmetric_key")
    }

    @Test("a key made from the library's comes back from its JWK as the same key")
    func roundTrip() throws {
        let keys = [
            try TestKey.es256(), try TestKey.es384(), try TestKey.es512(), try TestKey.edDSA(), try TestKey.rs256(), try TestKey.ps256(),
        ]
        for key in keys {
            let jwk = key.verification.publicJWK
            #expect(jwk["use"]?.string == "sig")
            #expect(jwk["kid"]?.string == key.id.text)
            let read = try VerificationKey(jwk: try jsonObject(String(decoding: JSONValue.object(jwk).encoded, as: UTF8.self)))
            #expect(read.publicJWK == jwk)
            #expect(read.thumbprint == key.verification.thumbprint)
            #expect(read.algorithm == key.verification.algorithm)
            let message = Array("message".utf8)
            let signature = try key.sign(message)
            #expect(read.isValidSignature(signature, for: message))
            #expect(!read.isValidSignature(signature, for: message + [0]))
            #expect(!read.isValidSignature([], for: message))
        }
    }

    @Test("RSA keys of the library that are too short are refused")
    func shortLibraryKey() throws {
        let key = try _RSA.Signing.PrivateKey(unsafeKeySize: _RSA.Signing.KeySize(bitCount: 1_024)).publicKey
        #expect(throws: JWKError.weakKey) { try VerificationKey(id: "k", rs256: key) }
        #expect(throws: JWKError.weakKey) { try VerificationKey(id: "k", ps256: key) }
    }

    @Test("RFC 7638 §3.1, RFC 8037 A.3: the thumbprints of the documents")
    func thumbprints() throws {
        let vectors = try #require(try Vectors.json("rfc-vectors/rfc-vectors.json")["vectors"]?.object)
        for name in ["jwk_thumbprint_rfc7638", "jwk_thumbprint_rfc8037_A3"] {
            let vector = try #require(vectors[name]?.object)
            var jwk = try #require(vector["jwk"]?.object)
            jwk["use"] = "sig"
            let key = try VerificationKey(jwk: jwk)
            #expect(key.thumbprint == vector["sha256"]?.string)
            #expect(key.id.text == vector["sha256"]?.string, "a key without kid is named by its thumbprint")
        }
    }

    @Test("the public and private keys of the JOSE cookbook (RFC 7520 §3) are read or refused as what they are")
    func cookbook() throws {
        let expected = [
            "3_1.ec_public_key": "accept", "3_2.ec_private_key": "private_member", "3_3.rsa_public_key": "accept",
            "3_4.rsa_private_key": "private_member", "3_5.symmetric_key_mac_computation": "symmetric_key",
            "3_6.symmetric_key_encryption": "symmetric_key",
        ]
        let names = try Vectors.names(in: "jose-cookbook/jwk").map { String($0.dropLast(5)) }
        #expect(Set(names) == Set(expected.keys))
        for name in names { #expect(error(try Vectors.json("jose-cookbook/jwk/\(name).json")) == expected[name], "\(name)") }
    }
}
