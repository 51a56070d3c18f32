package import AuthCore
internal import Crypto
package import Store
package import TokenKeys

/// A refresh token: computed from the row of its grant, never stored (RFC 6749 §10.4).
///
/// `ghr_` (of an authorization code `ghc_`) and base64url of: version, kind, grant id (16 bytes), counter (8), MAC (32), tag (8).
///
/// - The MAC covers kind, issuer, client, grant and counter under a key of the master key *and* a secret in the row: a
///   stolen database alone forges nothing, nor does a stolen key file. A token of one kind never passes for another.
/// - The tag is a MAC under the master key alone, checked before any database read, so that noise costs nothing.
package struct GrantCredential: Sendable, Equatable {
    package enum Kind: UInt8, Sendable, CaseIterable {
        case refreshToken = 1
        /// RFC 6749 §4.1.2.
        case authorizationCode = 2

        fileprivate var prefix: String {
            switch self {
            case .refreshToken: "ghr_"
            case .authorizationCode: "ghc_"
            }
        }
    }

    package let kind: Kind
    package let grantID: Identifier
    package let counter: Int64
    private let mac: [UInt8]

    private static let prefixBytes = 4
    private static let version: UInt8 = 1
    private static let byteCount = 1 + 1 + 16 + 8 + 32 + 8

    /// The length of every one, in bytes.
    package static let textBytes = 4 + (byteCount * 4 + 2) / 3

    /// Makes the text of a grant's token.
    package static func make(
        _ kind: Kind, grant: Grant, counter: Int64, issuer: Identifier, keys: MasterKeys
    ) -> Secret<String> {
        var bytes = [version, kind.rawValue]
        bytes.append(contentsOf: Base64URL.decode(grant.id.text) ?? [])
        withUnsafeBytes(of: counter.bigEndian) { bytes.append(contentsOf: $0) }
        let credential = GrantCredential(kind: kind, grantID: grant.id, counter: counter, mac: [])
        bytes.append(contentsOf: credential.mac(grant: grant, issuer: issuer, keys: keys, key: 0))
        bytes.append(contentsOf: tag(of: bytes, keys: keys, key: 0))
        return Secret(kind.prefix + Base64URL.encode(bytes))
    }

    private init(kind: Kind, grantID: Identifier, counter: Int64, mac: [UInt8]) {
        self.kind = kind
        self.grantID = grantID
        self.counter = counter
        self.mac = mac
    }

    /// Reads a token and checks its tag.
    ///
    /// - Returns: Nothing when it is not one of ours, to the last bit; a cut or lengthened one included.
    package init?(_ text: Secret<String>, keys: MasterKeys) {
        let text = text.exposed.utf8
        guard text.count == GrantCredential.textBytes, let bytes = Base64URL.decode(Array(text.dropFirst(GrantCredential.prefixBytes))),
            bytes.count == GrantCredential.byteCount,
            bytes[0] == GrantCredential.version, let kind = Kind(rawValue: bytes[1]), text.starts(with: kind.prefix.utf8)
        else { return nil }
        let tagStart = bytes.count - 8
        guard
            (0..<keys.count).contains(where: {
                isEqualInConstantTime(GrantCredential.tag(of: Array(bytes[..<tagStart]), keys: keys, key: $0), bytes[tagStart...])
            })
        else { return nil }
        let counter = bytes[18..<26].reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
        guard let counter = Int64(exactly: counter) else { return nil }
        self.init(kind: kind, grantID: Identifier(Base64URL.encode(bytes[2..<18])), counter: counter, mac: Array(bytes[26..<58]))
    }

    /// Whether this is a credential of `grant`, in constant time.
    package func isAuthentic(for grant: Grant, issuer: Identifier, keys: MasterKeys) -> Bool {
        (0..<keys.count).contains { isEqualInConstantTime(mac(grant: grant, issuer: issuer, keys: keys, key: $0), mac) }
    }

    /// Every field with its length in front, so that no byte can move from one to the next.
    private func mac(grant: Grant, issuer: Identifier, keys: MasterKeys, key: Int) -> [UInt8] {
        // In one piece: each update costs the library more than its hashing.
        var message: [UInt8] = []
        message.reserveCapacity(256)
        func append(_ field: some Collection<UInt8>) {
            withUnsafeBytes(of: UInt32(truncatingIfNeeded: field.count).bigEndian) { message.append(contentsOf: $0) }
            message.append(contentsOf: field)
        }
        append(CollectionOfOne(kind.rawValue))
        for text in [issuer.text, grant.clientUID.text, grant.id.text] { append(text.utf8) }
        withUnsafeBytes(of: counter.bigEndian) { message.append(contentsOf: $0) }
        let subkey = keys.subkey(.grants, of: key, salt: grant.secret.exposed)
        return Array(HMAC<SHA256>.authenticationCode(for: message, using: subkey))
    }

    private static func tag(of bytes: [UInt8], keys: MasterKeys, key: Int) -> [UInt8] {
        Array(HMAC<SHA256>.authenticationCode(for: bytes, using: keys.subkey(.grantTags, of: key)).prefix(8))
    }
}
