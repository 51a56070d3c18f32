package import AuthCore

/// The public keys of somebody else, as they were registered or fetched (RFC 7517 §5).
///
/// Others do not keep to one algorithm for each key and one key for each `kid`, so this is no `KeySet`: which key and algorithm a
/// token is tried with is decided for each token. Immutable.
package struct ForeignKeys: Sendable {
    /// The most keys that one token is tried with.
    package static let triesMax = 4

    private let jwks: [JSONObject]

    /// Keys that are of no use here (for encryption, of another curve, broken) are passed over, as RFC 7517 §5 asks.
    ///
    /// - Throws: `secretKey` when a private or symmetric key is among them (JW-03, DR-05): whoever published it has a leak.
    package init(jwks: JSONObject) throws(KeySetError) {
        guard let elements = jwks["keys"]?.array else { throw .notAKeySet }
        guard elements.count <= KeySet.countMax else { throw .tooManyKeys }
        var found: [JSONObject] = []
        for element in elements {
            guard let jwk = element.object else { throw .notAKeySet }
            if jwk["kty"]?.string?.isSameBytes(as: "oct") == true { throw .secretKey }
            for name in JWKReader.privateMembers where jwk[name] != nil { throw .secretKey }
            found.append(jwk)
        }
        self.jwks = found
    }

    /// The keys of a set of our own.
    package init(_ set: KeySet) { jwks = set.keys.map(\.publicJWK) }

    /// The keys to try, `triesMax` at most: those that the header names, or all without a name, as far as they fit `algorithm`.
    ///
    /// A key without `kid` has its thumbprint as its name (RFC 7638).
    func candidates(_ id: Identifier?, _ algorithm: SignatureAlgorithm) -> [VerificationKey] {
        var found: [VerificationKey] = []
        for jwk in jwks {
            // Before the key is parsed, which costs more than this.
            if let id, let named = jwk["kid"], named.string.map({ Identifier($0) }) != id { continue }
            // A key that cannot be used under this algorithm is none for this token, whatever the reason.
            guard let key = try? VerificationKey(jwk: jwk, as: algorithm), id == nil || key.id == id else { continue }
            found.append(key)
            if found.count == ForeignKeys.triesMax { break }
        }
        return found
    }
}
