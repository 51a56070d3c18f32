public import AuthCore

/// Why a key set is refused as a whole.
public enum KeySetError: Error, Sendable, Equatable {
    /// No object with an array `keys` of objects (RFC 7517 §5).
    case notAKeySet
    case tooManyKeys
    /// Two usable keys under one `kid` (JK-02): which one signed would be a guess.
    case duplicateKeyID(Identifier)
    /// What should be public holds a private or a symmetric key: whoever published it has a leak (JW-03).
    case secretKey
}

/// The public keys of one issuer, by `kid`. Immutable; copies share it.
public struct KeySet: Sendable {
    /// The most keys of one set.
    public static let countMax = 64

    public static let empty = KeySet(Contents(keys: [], byID: [:]))

    private final class Contents: Sendable {
        let keys: [VerificationKey]
        let byID: [Identifier: VerificationKey]

        init(keys: [VerificationKey], byID: [Identifier: VerificationKey]) {
            self.keys = keys
            self.byID = byID
        }
    }

    private let contents: Contents

    private init(_ contents: Contents) { self.contents = contents }

    /// - Throws: `tooManyKeys`, `duplicateKeyID`.
    public init(keys: [VerificationKey]) throws(KeySetError) {
        guard keys.count <= KeySet.countMax else { throw .tooManyKeys }
        var byID: [Identifier: VerificationKey] = [:]
        for key in keys {
            guard byID.updateValue(key, forKey: key.id) == nil else { throw .duplicateKeyID(key.id) }
        }
        self.init(Contents(keys: keys, byID: byID))
    }

    /// Reads a JWK set (RFC 7517 §5).
    ///
    /// A key that cannot verify signatures here (for encryption, of another curve, too short, broken) is left out, as
    /// RFC 7517 §5 asks, so a token that names it finds `unknown_key`. A private or symmetric key is no such matter: it
    /// refuses the whole set.
    public init(jwks: JSONObject) throws(KeySetError) {
        guard let elements = jwks["keys"]?.array else { throw .notAKeySet }
        guard elements.count <= KeySet.countMax else { throw .tooManyKeys }
        var keys: [VerificationKey] = []
        for element in elements {
            guard let jwk = element.object else { throw .notAKeySet }
            do throws(JWKError) {
                keys.append(try VerificationKey(jwk: jwk))
            } catch {
                if error == .privateMember || error == .symmetricKey { throw .secretKey }
            }
        }
        try self.init(keys: keys)
    }

    public var keys: [VerificationKey] { contents.keys }

    public func key(_ id: Identifier) -> VerificationKey? { contents.byID[id] }

    /// The key that a header names. Without a `kid` it is the only key of the set, if the set has only one.
    func key(named id: Identifier?) -> VerificationKey? {
        if let id { return contents.byID[id] }
        return contents.keys.count == 1 ? contents.keys[0] : nil
    }

    /// Whether the key of this id is still the one with this fingerprint.
    func holds(_ id: Identifier, fingerprint: TokenHash) -> Bool { contents.byID[id]?.fingerprint == fingerprint }
}
