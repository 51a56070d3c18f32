import AuthCore
import Crypto
import TokenVerification

/// A client with a key of its own, which makes proofs (RFC 9449 §4).
struct Device: Sendable {
    private let key = P256.Signing.PrivateKey()
    private var verification: VerificationKey { VerificationKey(id: "device", es256: key.publicKey) }

    var jkt: String { verification.thumbprint }

    /// - Parameter change: Of the claims.
    func proof(
        _ method: String = "GET", _ url: String, token: String, nonce: String?, id: String, at now: Instant = Gate.now,
        _ change: (inout JSONObject) -> Void = { _ in }
    ) throws -> String {
        var claims = JSONObject([
            ("jti", .string(id)), ("htm", .string(method)), ("htu", .string(url)), ("iat", .number(JSONNumber(now.seconds))),
            ("ath", .string(Base64URL.encode(TokenHash(of: token.utf8).bytes))),
        ])
        if let nonce { claims["nonce"] = .string(nonce) }
        change(&claims)
        let header = JSONObject([("typ", .string("dpop+jwt")), ("alg", .string("ES256")), ("jwk", .object(verification.publicJWK))])
        let input = [header, claims].map { Base64URL.encode(JSONValue.object($0).encoded) }.joined(separator: ".")
        return input + "." + Base64URL.encode(Array(try key.signature(for: Array(input.utf8)).rawRepresentation))
    }
}
