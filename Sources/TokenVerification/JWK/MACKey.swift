internal import AuthCore
internal import Crypto

/// A symmetric key of the `jws` verdict, or the secret of a client (RFC 7518 §3.2). No access token is ever checked with one.
struct MACKey {
    let algorithm: SignatureAlgorithm
    private let key: SymmetricKey

    /// - Parameter headerAlgorithm: What the token says, for a key without `alg`.
    init(jwk: JSONObject, headerAlgorithm: SignatureAlgorithm) throws(JWKError) {
        try JWKReader.checkPurpose(jwk)
        _ = try JWKReader.keyID(jwk)
        var allowed: [SignatureAlgorithm] = [.hs256, .hs384, .hs512]
        if let index = allowed.firstIndex(of: headerAlgorithm) { allowed.swapAt(0, index) }
        algorithm = try JWKReader.algorithm(jwk, allowed: allowed)
        key = try MACKey.key(try JWKReader.bytes(jwk, "k"), algorithm)
    }

    /// - Parameter algorithm: Symmetric.
    init(secret: Secret<[UInt8]>, algorithm: SignatureAlgorithm) throws(JWKError) {
        guard algorithm.isSymmetric else { throw .unsupportedAlgorithm }
        self.algorithm = algorithm
        key = try MACKey.key(secret.exposed, algorithm)
    }

    /// JW-04, CA-12: a key at least as long as the hash.
    private static func key(_ bytes: [UInt8], _ algorithm: SignatureAlgorithm) throws(JWKError) -> SymmetricKey {
        let hashBytes =
            switch algorithm {
            case .hs384: 48
            case .hs512: 64
            default: 32
            }
        guard bytes.count >= hashBytes else { throw .weakKey }
        return SymmetricKey(data: bytes)
    }

    /// Compares in constant time.
    func isValidCode(_ code: [UInt8], for message: UnsafeBufferPointer<UInt8>) -> Bool {
        let message = UnsafeRawBufferPointer(message)
        return switch algorithm {
        case .hs384: HMAC<SHA384>.isValidAuthenticationCode(code, authenticating: message, using: key)
        case .hs512: HMAC<SHA512>.isValidAuthenticationCode(code, authenticating: message, using: key)
        default: HMAC<SHA256>.isValidAuthenticationCode(code, authenticating: message, using: key)
        }
    }
}
