package import AuthCore
package import Crypto

/// The keys that everything stored rests on: the first seals, all open. Subkeys by HKDF, one a purpose.
///
/// The master keys are never written to the store. Each sealed value names the key that sealed it.
package struct MasterKeys: Sendable {
    package enum Purpose: String, Sendable, CaseIterable {
        case signingKeys = "signing keys"
        case grants = "grants"
        case grantTags = "grant tags"
        case clientSecrets = "client secrets"
        /// Those that must be known themselves, because the client signs with them.
        case sealedClientSecrets = "sealed client secrets"
        case storeCheck = "store check"
        /// What browsers carry from step to step of an authorization.
        case interactions = "interactions"
        case forms = "forms"
        case proofNonces = "proof nonces"
    }

    package enum Failure: Error, Sendable, Equatable {
        /// No key, or one that is not 32 bytes.
        case unusableKey
        /// Sealed under a key that is not among these.
        case unknownKey
        /// Altered, cut, or opened in another place than it was sealed for.
        case notAuthentic
    }

    package static let keyBytes = 32
    private static let version: UInt8 = 1
    private static let idBytes = 8

    private struct Key: Sendable {
        let key: SymmetricKey
        let id: [UInt8]
        /// Those without a salt: they are wanted with every request.
        let subkeys: [Purpose: SymmetricKey]
    }

    private let keys: [Key]

    /// - Parameter keys: Each 32 bytes; the first one seals.
    package init(_ keys: [Secret<[UInt8]>]) throws(Failure) {
        guard !keys.isEmpty, keys.allSatisfy({ $0.exposed.count == MasterKeys.keyBytes }) else { throw .unusableKey }
        self.keys = keys.map { secret in
            let key = SymmetricKey(data: secret.exposed)
            let id = HMAC<SHA256>.authenticationCode(for: Array("gatehouse master key id".utf8), using: key)
            let subkeys = Purpose.allCases.map { ($0, MasterKeys.derived($0, from: key, salt: [])) }
            return Key(key: key, id: Array(id.prefix(MasterKeys.idBytes)), subkeys: Dictionary(uniqueKeysWithValues: subkeys))
        }
    }

    /// Reads one key as it stands in a file: 32 bytes in base64url, white space around it ignored.
    package static func decode(_ text: Secret<String>) throws(Failure) -> Secret<[UInt8]> {
        let trimmed = text.exposed.utf8.filter { $0 != 0x20 && $0 != 0x0A && $0 != 0x0D }
        guard let bytes = Base64URL.decode(trimmed), bytes.count == keyBytes else { throw .unusableKey }
        return Secret(bytes)
    }

    /// How many keys there are: a MAC may have been made with any of them.
    package var count: Int { keys.count }

    /// The subkey of the `index`-th key for a purpose, and for a `salt` that makes it one row's own.
    package func subkey(_ purpose: Purpose, of index: Int = 0, salt: [UInt8] = []) -> SymmetricKey {
        if salt.isEmpty, let subkey = keys[index].subkeys[purpose] { return subkey }
        return MasterKeys.derived(purpose, from: keys[index].key, salt: salt)
    }

    private static func derived(_ purpose: Purpose, from key: SymmetricKey, salt: [UInt8]) -> SymmetricKey {
        HKDF<SHA256>.deriveKey(
            inputKeyMaterial: key, salt: salt, info: Array("gatehouse 1 \(purpose.rawValue)".utf8), outputByteCount: 32)
    }

    /// A value that only this key computes for this store; compared at every start.
    package func check(of store: Identifier, key index: Int = 0) -> [UInt8] {
        let code = HMAC<SHA256>.authenticationCode(for: Array(store.text.utf8), using: subkey(.storeCheck, of: index))
        return Array(code)
    }

    /// Whether one of these keys made `check` for `store`.
    package func made(check: [UInt8], of store: Identifier) -> Bool {
        keys.indices.contains { isEqualInConstantTime(self.check(of: store, key: $0), check) }
    }

    /// AES-256-GCM under the first key's subkey.
    ///
    /// - Parameter context: Where the value stands (`signing_keys/<kid>`): it opens nowhere else.
    package func seal(_ plain: Secret<[UInt8]>, for purpose: Purpose, context: String) throws(Failure) -> [UInt8] {
        let header = [MasterKeys.version] + keys[0].id
        guard
            // Fails only for messages longer than 64 GB.
            let box = try? AES.GCM.seal(plain.exposed, using: subkey(purpose), authenticating: header + context.utf8),
            let combined = box.combined
        else { throw .notAuthentic }
        return header + combined
    }

    package func open(_ sealed: [UInt8], for purpose: Purpose, context: String) throws(Failure) -> Secret<[UInt8]> {
        let headerCount = 1 + MasterKeys.idBytes
        guard sealed.count > headerCount, sealed[0] == MasterKeys.version else { throw .notAuthentic }
        guard let index = keys.firstIndex(where: { $0.id.elementsEqual(sealed[1..<headerCount]) }) else { throw .unknownKey }
        guard
            // Both failures mean the same to the caller: these are not the bytes that were sealed.
            let box = try? AES.GCM.SealedBox(combined: sealed[headerCount...]),
            // The same here.
            let plain = try? AES.GCM.open(
                box, using: subkey(purpose, of: index), authenticating: sealed[..<headerCount] + context.utf8)
        else { throw .notAuthentic }
        return Secret(Array(plain))
    }
}
