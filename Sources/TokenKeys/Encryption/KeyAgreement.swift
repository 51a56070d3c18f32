internal import AuthCore
internal import Crypto

/// ECDH-ES: an ephemeral key pair for one JWE, and what it shares with the recipient (RFC 7518 §4.6).
struct KeyAgreement {
    /// The ephemeral public key, for the header (§4.6.1.1).
    let epk: JSONObject
    /// Z of §4.6.2.
    let sharedSecret: [UInt8]

    /// With a new key pair of the library's own randomness. Nothing for a key that is no point of a curve.
    init?(with recipient: EncryptionKey.Material) throws {
        switch recipient {
        case .rsa: return nil
        case .p256(let key):
            let ephemeral = P256.KeyAgreement.PrivateKey()
            self.init("P-256", ephemeral.publicKey.rawRepresentation, try ephemeral.sharedSecretFromKeyAgreement(with: key))
        case .p384(let key):
            let ephemeral = P384.KeyAgreement.PrivateKey()
            self.init("P-384", ephemeral.publicKey.rawRepresentation, try ephemeral.sharedSecretFromKeyAgreement(with: key))
        case .p521(let key):
            let ephemeral = P521.KeyAgreement.PrivateKey()
            self.init("P-521", ephemeral.publicKey.rawRepresentation, try ephemeral.sharedSecretFromKeyAgreement(with: key))
        }
    }

    /// - Parameter point: Both coordinates.
    init(_ curve: String, _ point: some Collection<UInt8>, _ secret: SharedSecret) {
        let half = point.count / 2
        epk = JSONObject([
            ("kty", .string("EC")), ("crv", .string(curve)), ("x", .string(Base64URL.encode(point.prefix(half)))),
            ("y", .string(Base64URL.encode(point.suffix(half)))),
        ])
        sharedSecret = secret.withUnsafeBytes { Array($0) }
    }

    /// The key for `algorithm`, which is `enc` where it encrypts the content and `alg` where it wraps a key (§4.6.2).
    func key(for algorithm: String, bytes: Int, partyU: [UInt8] = [], partyV: [UInt8] = []) -> SymmetricKey {
        KeyAgreement.concatKDF(sharedSecret, algorithm: algorithm, bytes: bytes, partyU: partyU, partyV: partyV)
    }

    /// The Concat KDF of NIST SP 800-56A §5.8.1 with SHA-256, as RFC 7518 §4.6.2 uses it.
    static func concatKDF(_ secret: [UInt8], algorithm: String, bytes: Int, partyU: [UInt8], partyV: [UInt8]) -> SymmetricKey {
        func withLength(_ data: [UInt8]) -> [UInt8] { bigEndian(UInt32(data.count)) + data }
        let information =
            withLength(Array(algorithm.utf8)) + withLength(partyU) + withLength(partyV) + bigEndian(UInt32(bytes * 8))
        var derived: [UInt8] = []
        var round: UInt32 = 1
        while derived.count < bytes {
            var hash = SHA256()
            hash.update(data: bigEndian(round) + secret + information)
            derived.append(contentsOf: hash.finalize())
            round += 1
        }
        return SymmetricKey(data: derived.prefix(bytes))
    }

    private static func bigEndian(_ number: UInt32) -> [UInt8] { withUnsafeBytes(of: number.bigEndian) { Array($0) } }
}
