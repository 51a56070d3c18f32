internal import AuthCore

/// A token that cannot be read at all, and what is wrong with it.
struct MalformedToken: Error {
    /// For the explanation; names the part and the claim, never more of the token than a claim's name.
    let problem: String

    init(_ problem: String) { self.problem = problem }
}

/// The parts of a JWS in compact serialisation (RFC 7515 §7.1), decoded and bounded, with nothing verified.
///
/// | in the header | answer |
/// |---|---|
/// | longer than 16 KiB, not three parts, an empty header part, base64url that is not canonical | `malformed` |
/// | not one JSON object, a member twice | `malformed` |
/// | `alg` absent or no string | `malformed` |
/// | `alg` is `none` in any spelling, unknown, or (for access tokens) HMAC | `unsupported_algorithm` |
/// | `alg` is not the algorithm of the key | `unsupported_algorithm` |
/// | `kid` no string, empty or above 255 bytes; `typ` no string | `malformed` |
/// | `kid` not in the key set; absent while the set does not hold exactly one key | `unknown_key` |
/// | `crit` present: no extension is understood (RFC 7515 §4.1.11) | `malformed` |
/// | `b64` false or no boolean (RFC 7797) | `malformed` |
/// | `jwk`, `jku`, `x5u`, `x5c`, `x5t`, anything else | ignored, never used |
/// | signature part empty or of a wrong length | `bad_signature` |
struct CompactJWS {
    /// The longest token that is looked at, in bytes.
    static let bytesMax = 16_384

    let header: JWSHeader
    let payload: [UInt8]
    let signature: [UInt8]
    /// What was signed: header and payload as received, with the dot between. Valid as long as the caller's buffer.
    let signingInput: UnsafeBufferPointer<UInt8>
    /// The header as received. Valid as long as the caller's buffer.
    let encodedHeader: UnsafeBufferPointer<UInt8>

    /// - Parameter memo: Headers that have been read before.
    init(_ token: UnsafeBufferPointer<UInt8>, memo: HeaderMemo? = nil) throws(MalformedToken) {
        guard token.count <= CompactJWS.bytesMax else { throw MalformedToken("longer than \(CompactJWS.bytesMax) bytes") }
        var first = -1
        var second = -1
        for index in token.indices where token[index] == UInt8(ascii: ".") {
            if first < 0 {
                first = index
            } else if second < 0 {
                second = index
            } else {
                throw MalformedToken("more than three parts")
            }
        }
        guard second >= 0 else { throw MalformedToken("fewer than three parts") }
        guard first > 0 else { throw MalformedToken("no header") }
        encodedHeader = UnsafeBufferPointer(rebasing: token[..<first])
        if let known = memo?.header(encodedHeader) {
            header = known
        } else {
            guard let json = Base64URL.decode(encodedHeader) else { throw MalformedToken("the header is not base64url") }
            header = try JWSHeader(json)
        }
        guard let payload = Base64URL.decode(UnsafeBufferPointer(rebasing: token[(first + 1)..<second])) else {
            throw MalformedToken("the payload is not base64url")
        }
        guard let signature = Base64URL.decode(UnsafeBufferPointer(rebasing: token[(second + 1)...])) else {
            throw MalformedToken("the signature is not base64url")
        }
        self.payload = payload
        self.signature = signature
        self.signingInput = UnsafeBufferPointer(rebasing: token[..<second])
    }
}

/// The protected header of a JWS: the members that Gatehouse uses, and no key material from it (JW-05).
struct JWSHeader: Sendable {
    /// The longest `kid`, in bytes. It is opaque: compared, never parsed, never part of a path, a query or a URL (JW-06).
    static let keyIDBytesMax = 255

    let algorithmName: String
    /// Nothing when the name is not known.
    let algorithm: SignatureAlgorithm?
    let keyID: Identifier?
    let type: String?
    /// Whether `typ` says access token (RFC 9068 §4): `at+jwt` or `application/at+jwt`, ASCII letters in either case.
    let isAccessToken: Bool

    init(_ json: [UInt8]) throws(MalformedToken) {
        let members = try JWSHeader.object(json, part: "header")
        var algorithm: String?
        var keyID: Identifier?
        var type: String?
        for (name, value) in members {
            if name.isSameBytes(as: "alg") {
                guard let text = value.string else { throw MalformedToken("alg is no string") }
                algorithm = text
            } else if name.isSameBytes(as: "kid") {
                guard let text = value.string, (1...JWSHeader.keyIDBytesMax).contains(text.utf8.count) else {
                    throw MalformedToken("kid is not a string of 1 to \(JWSHeader.keyIDBytesMax) bytes")
                }
                keyID = Identifier(text)
            } else if name.isSameBytes(as: "typ") {
                guard let text = value.string else { throw MalformedToken("typ is no string") }
                type = text
            } else if name.isSameBytes(as: "crit") {
                throw MalformedToken("crit names extensions; none is supported")
            } else if name.isSameBytes(as: "b64"), value.bool != true {
                throw MalformedToken("b64 is not true")
            }
        }
        guard let algorithm else { throw MalformedToken("no alg") }
        self.algorithmName = algorithm
        self.algorithm = SignatureAlgorithm.named(algorithm)
        self.keyID = keyID
        self.type = type
        self.isAccessToken = JWSHeader.isType(type, "at+jwt", "application/at+jwt")
    }

    /// Whether `typ` is this media type, with or without `application/`, ASCII letters in either case (RFC 7515 §4.1.9).
    static func isType(_ type: String?, _ short: StaticString, _ long: StaticString) -> Bool {
        guard let type else { return false }
        return equalsIgnoringASCIICase(type, short) || equalsIgnoringASCIICase(type, long)
    }

    /// Reads the JSON object that a part of a token must be.
    static func object(_ json: [UInt8], part: String) throws(MalformedToken) -> JSONObject {
        let value: JSONValue
        do { value = try JSONReader.read(json, limits: .token) } catch {
            throw MalformedToken("the \(part) is not JSON: \(error.rawValue)")
        }
        guard let object = value.object else { throw MalformedToken("the \(part) is no JSON object") }
        return object
    }

    /// Whether `typ` is this media type, with or without `application/`, ASCII letters in either case (RFC 7515 §4.1.9).
    static func isSameType(_ type: String, _ expected: String) -> Bool {
        let prefix = "application/"
        let found = type.utf8.map(lowercasedASCII)
        let wanted = expected.utf8.map(lowercasedASCII)
        return found == wanted || found == Array(prefix.utf8) + wanted
    }

    private static func equalsIgnoringASCIICase(_ text: String, _ lowercase: StaticString) -> Bool {
        guard text.utf8.count == lowercase.utf8CodeUnitCount else { return false }
        var position = 0
        for byte in text.utf8 {
            if lowercasedASCII(byte) != lowercase.utf8Start[position] { return false }
            position += 1
        }
        return true
    }
}
