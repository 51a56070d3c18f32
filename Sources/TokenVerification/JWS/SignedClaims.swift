package import AuthCore

/// The claims of a JWS in compact form whose signature is good under a key of the caller's (RFC 7515 §5.2). Nothing else is asked of it: no
/// time, no issuer, no audience. For what is no access token.
package struct SignedClaims: Sendable {
    package let claims: JSONObject
    private let type: String?

    /// Nothing when it cannot be read, names no key or none that the caller has, has another algorithm than that key (`none` too), or is
    /// not signed by it.
    ///
    /// - Parameter key: The caller's key of this `kid`; keys in the header are never used (JW-05).
    package init?(_ text: String, key: (_ id: Identifier) -> VerificationKey?) {
        var text = text
        let read = text.withUTF8 { bytes -> (JSONObject, String?)? in
            // What is wrong with it is of no interest to anybody: it is no JWS of ours.
            guard let parsed = try? CompactJWS(bytes), let id = parsed.header.keyID, let key = key(id),
                parsed.header.algorithm == key.algorithm, key.isValidSignature(parsed.signature, for: parsed.signingInput),
                let claims = try? JWSHeader.object(parsed.payload, part: "payload")  // as above
            else { return nil }
            return (claims, parsed.header.type)
        }
        guard let read else { return nil }
        (claims, type) = read
    }

    /// Whether `typ` is this media type, with or without `application/` (RFC 8725 §3.11).
    package func isType(_ short: StaticString, _ long: StaticString) -> Bool { JWSHeader.isType(type, short, long) }
}
