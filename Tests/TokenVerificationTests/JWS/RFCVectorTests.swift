import AuthCore
import Testing
import TokenVerification

struct SignedVector: Sendable, CustomTestStringConvertible {
    let testDescription: String
    let jwk: String
    let jws: String
    var verdict = "accept"
    var reason: String?
}

private let joe = "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ"
private let a1Key = #"{"kty":"oct","k":"AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow"}"#
private let a2Key = #"""
    {"kty":"RSA","n":"ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ","e":"AQAB"}
    """#
private let a2 =
    "eyJhbGciOiJSUzI1NiJ9.\(joe).cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw"
private let a3Key =
    #"{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0","d":"jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI"}"#
private let a3 = "eyJhbGciOiJFUzI1NiJ9.\(joe).DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q"
private let a4Key =
    #"{"kty":"EC","crv":"P-521","x":"AekpBQ8ST8a8VcfVOTNl353vSrDCLLJXmPk06wTjxrrjcBpXp5EOnYG_NjFZ6OvLFV1jSfS9tsz4qUxcWceqwQGk","y":"ADSmRA43Z1DSNx_RvcLI87cdL07l6jQyyBXMoxVg_l2Th-x3S1WDhjDly79ajL4Kkd0AZMaZmh9ubmf63e3kyMj2"}"#
private let a4 =
    "eyJhbGciOiJFUzUxMiJ9.UGF5bG9hZA.AdwMgeerwtHoh-l192l60hp9wAHZFVJbLfD_UxMi70cwnZOYaRI1bKPWROc-mZZqwqT2SI-KGDKB34XO0aw_7XdtAG8GaSwFKdCAPZgoXD2YBJZCPEX3xKpRwcdOO8KpEHwJjyqOgzDO7iKvU8vcnwNrmxYbSW9ERBXukOXolLzeO_Jn"
private let okpKey = #"{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#
private let okp =
    "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg"
private let a1 = "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.\(joe).dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"

@Suite("The examples of the documents")
struct RFCVectorTests {
    @Test(
        "RFC 7515 appendix A, RFC 7519 §3.1 and §6.1, RFC 8037 A.4",
        arguments: [
            SignedVector(testDescription: "RFC 7515 A.1 and RFC 7519 §3.1, HS256", jwk: a1Key, jws: a1),
            SignedVector(testDescription: "RFC 7515 A.2, RS256", jwk: a2Key, jws: a2),
            SignedVector(testDescription: "RFC 7515 A.3, ES256", jwk: a3Key, jws: a3),
            SignedVector(testDescription: "RFC 7515 A.4, ES512", jwk: a4Key, jws: a4),
            SignedVector(
                testDescription: "RFC 7515 A.5 and RFC 7519 §6.1, none", jwk: a3Key, jws: "eyJhbGciOiJub25lIn0.\(joe).", verdict: "reject",
                reason: "unsupported_algorithm"),
            SignedVector(testDescription: "RFC 8037 A.4, EdDSA", jwk: okpKey, jws: okp),
            SignedVector(
                testDescription: "RFC 7515 appendix E: crit with an unknown name", jwk: a3Key,
                jws:
                    "eyJhbGciOiJub25lIiwNCiAiY3JpdCI6WyJodHRwOi8vZXhhbXBsZS5jb20vVU5ERUZJTkVEIl0sDQogImh0dHA6Ly9leGFtcGxlLmNvbS9VTkRFRklORUQiOnRydWUNCn0.RkFJTA.",
                verdict: "reject", reason: "malformed"),
            SignedVector(
                testDescription: "A.3 under the key of A.2", jwk: a2Key, jws: a3, verdict: "reject", reason: "unsupported_algorithm"),
            SignedVector(
                testDescription: "A.1 under a public key", jwk: a3Key, jws: a1, verdict: "reject", reason: "unsupported_algorithm"),
            SignedVector(
                testDescription: "A.3 under the key of A.1", jwk: a1Key, jws: a3, verdict: "reject", reason: "unsupported_algorithm"),
        ])
    func documents(_ vector: SignedVector) throws {
        let answer = VerdictJWS.answer(JSONObject([("id", "x"), ("jws", .string(vector.jws)), ("jwk", try json(vector.jwk))]))
        #expect(answer["verdict"]?.string == vector.verdict)
        #expect(answer["reason"]?.string == vector.reason)
        if vector.verdict == "accept" {
            let payload = try #require(Base64URL.decode(String(vector.jws.split(separator: ".")[1])))
            #expect(answer["payload_b64"]?.string == Base64.encode(payload))
        }
    }

    @Test("A.1 as an access token is refused: HMAC is none of the algorithms")
    func notAToken() throws {
        let presented = try Presented()
        // Its claims lack what an access token must have, which comes first.
        #expect(try presented.verifier().outcome(Array(a1.utf8), presented.requirements) == "malformed")
    }

    @Test("the JWS examples of the JOSE cookbook (RFC 7520 §4, RFC 8037, RFC 7797): compact ones pass, other forms are refused")
    func cookbook() throws {
        // What has no compact output, or is not supported, with the reason.
        let refused = [
            "4_2.rsa-pss_signature": "unsupported_algorithm", "4_5.signature_with_detached_content": "bad_signature",
            "4_6.protecting_specific_header_fields": "malformed", "4_7.protecting_content_only": "malformed",
            "4_8.multiple_signatures": "malformed", "4.2.hmac-sha2_b64_false": "malformed", "hmac-sha2_b64_false": "malformed",
        ]
        var seen = 0
        for folder in ["jws", "curve25519", "rfc7797"] {
            for file in try Vectors.names(in: "jose-cookbook/\(folder)") where file.hasSuffix(".json") {
                let name = String(file.dropLast(5))
                let vector = try Vectors.json("jose-cookbook/\(folder)/\(file)")
                let output = try #require(vector["output"]?.object)
                let jws = try #require(output["compact"] ?? output["json_flat"] ?? output["json"])
                let key = try #require(vector["input"]?.object?["key"])
                let answer = VerdictJWS.answer(JSONObject([("jws", jws), ("jwk", key.array?.first ?? key)]))
                #expect(answer["reason"]?.string == refused[name], "\(name)")
                #expect(answer["verdict"]?.string == (refused[name] == nil ? "accept" : "reject"), "\(name)")
                if refused[name] == nil {
                    let payload = try #require(vector["input"]?.object?["payload"]?.string)
                    #expect(answer["payload_b64"]?.string == Base64.encode(Array(payload.utf8)), "\(name)")
                }
                seen += 1
            }
        }
        #expect(seen == 11)
    }
}
