package import AuthCore
internal import Crypto
internal import CryptoExtras

package enum JWEError: Error, Sendable, Equatable {
    /// The content is longer than `JWE.contentBytesMax`.
    case tooLong
    /// The recipient's key cannot be used after all.
    case unusableKey
}

/// JWE in compact form (RFC 7516 §3.1), the encrypting side: ID tokens and answers of the userinfo endpoint to a client's key.
///
/// What is encrypted is a signed JWT (RFC 7519 §5.2, RFC 8725 §3.3: an encryption alone says nothing of who made it), so `cty` is
/// `JWT`. Nothing is compressed (JW-20). Decryption, for request objects encrypted to us, is not here.
package enum JWE {
    /// The longest content, in bytes.
    package static let contentBytesMax = 65_536

    /// Encrypts a signed JWT.
    ///
    /// - Parameter environment: The content's key and the initialization vector are drawn from it.
    package static func encrypt(
        _ signed: String, to recipient: EncryptionKey, with encryption: ContentEncryption, environment: Environment
    ) throws(JWEError) -> String {
        let content = Array(signed.utf8)
        guard content.count <= contentBytesMax else { throw .tooLong }
        // Fails only for a key that is none.
        guard let given = try? contentKey(recipient, encryption, environment) else { throw .unusableKey }
        var header = JSONWriter()
        header.object {
            $0.member("alg", recipient.algorithm.rawValue)
            $0.member("enc", encryption.rawValue)
            $0.member("kid", recipient.id?.text)
            $0.member("cty", "JWT")
            if let epk = given.epk { $0.member(named: "epk", .object(epk)) }
        }
        let encodedHeader = Base64URL.encodedBytes(header.bytes)
        let vector = environment.randomBytes(encryption.vectorBytes)
        // The sizes of key and vector are those of the algorithm; nothing else can be wrong with them.
        guard let sealed = try? seal(content, with: encryption, key: given.key, vector: vector, authenticating: encodedHeader) else {
            throw .unusableKey
        }
        let parts = [encodedHeader] + [given.encrypted, vector, sealed.ciphertext, sealed.tag].map { Base64URL.encodedBytes($0) }
        return String(decoding: Array(parts.joined(separator: [UInt8(ascii: ".")])), as: UTF8.self)
    }

    private struct ContentKey {
        let key: SymmetricKey
        /// The JWE Encrypted Key; empty for ECDH-ES without wrapping (RFC 7518 §4.6).
        let encrypted: [UInt8]
        let epk: JSONObject?
    }

    private static func contentKey(
        _ recipient: EncryptionKey, _ encryption: ContentEncryption, _ environment: Environment
    ) throws -> ContentKey {
        if case .rsa(let modulus, let exponent) = recipient.material {
            let key = environment.randomBytes(encryption.keyBytes)
            let padding: _RSA.Encryption.Padding = recipient.algorithm == .rsaOAEP ? .PKCS1_OAEP : .PKCS1_OAEP_SHA256
            let encrypted = try _RSA.Encryption.PublicKey(n: modulus, e: exponent).encrypt(key, padding: padding)
            return ContentKey(key: SymmetricKey(data: key), encrypted: Array(encrypted), epk: nil)
        }
        guard let agreement = try KeyAgreement(with: recipient.material) else { throw JWEError.unusableKey }
        guard let wrappingBytes = recipient.algorithm.wrappingKeyBytes else {
            return ContentKey(key: agreement.key(for: encryption.rawValue, bytes: encryption.keyBytes), encrypted: [], epk: agreement.epk)
        }
        let wrapping = agreement.key(for: recipient.algorithm.rawValue, bytes: wrappingBytes)
        let key = SymmetricKey(data: environment.randomBytes(encryption.keyBytes))
        return ContentKey(key: key, encrypted: Array(try AES.KeyWrap.wrap(key, using: wrapping)), epk: agreement.epk)
    }

    /// RFC 7518 §5.2 and §5.3.
    ///
    /// - Parameter additional: The header as it is sent (RFC 7516 §5.1, step 14).
    static func seal(
        _ content: [UInt8], with encryption: ContentEncryption, key: SymmetricKey, vector: [UInt8], authenticating additional: [UInt8]
    ) throws -> (ciphertext: [UInt8], tag: [UInt8]) {
        switch encryption {
        case .a128GCM, .a256GCM:
            let box = try AES.GCM.seal(content, using: key, nonce: AES.GCM.Nonce(data: vector), authenticating: additional)
            return (Array(box.ciphertext), Array(box.tag))
        case .a128CBCHS256, .a256CBCHS512:
            let bytes = key.withUnsafeBytes { Array($0) }
            let half = bytes.count / 2
            let ciphertext = Array(
                try AES._CBC.encrypt(content, using: SymmetricKey(data: bytes[half...]), iv: AES._CBC.IV(ivBytes: vector)))
            let length = withUnsafeBytes(of: UInt64(additional.count * 8).bigEndian) { Array($0) }
            let authenticated = additional + vector + ciphertext + length
            let authentication = SymmetricKey(data: bytes[..<half])
            let code =
                encryption == .a128CBCHS256
                ? Array(HMAC<SHA256>.authenticationCode(for: authenticated, using: authentication))
                : Array(HMAC<SHA512>.authenticationCode(for: authenticated, using: authentication))
            return (ciphertext, Array(code.prefix(half)))
        }
    }
}
