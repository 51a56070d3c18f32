internal import AuthCore

/// The claims of an access token, read and bounded before its signature is checked, and used for nothing until then.
///
/// `iss`, `sub`, `client_id`, `jti`, `exp` and `iat` must be there (RFC 9068 §2.2); a missing or mistyped claim, one that
/// is too long, or `null` is `malformed`. A missing or empty `aud` is not: it is refused later as `wrong_audience`.
struct AccessTokenClaims {
    static let issuerBytesMax = 2_048
    /// Of `sub`, `client_id`, `jti`, `sid`, `gid`, `acr`, and of one `amr` or role.
    static let nameBytesMax = 255
    static let audienceBytesMax = 2_048
    static let audiencesMax = 64
    static let methodsMax = 32
    static let rolesMax = 256

    let issuer: Identifier
    let subject: Identifier
    let clientID: Identifier
    let audiences: [Identifier]
    let expiresAt: Instant
    let issuedAt: Instant
    let notBefore: Instant?
    let id: Identifier
    let scope: ScopeSet
    let sessionID: Identifier?
    let grantID: Identifier?
    let epochs: (account: Int64, client: Int64)
    let authenticatedAt: Instant?
    let acr: String?
    let amr: [String]
    let roles: [Identifier]
    let confirmation: Confirmation?

    /// `cnf` (RFC 7800 §3.1): the thumbprint of a key, or a method that is not known here.
    struct Confirmation {
        let jkt: String?
    }

    /// - Parameter lifetimeMax: `exp − iat` above it is malformed; nothing for no limit.
    init(_ payload: [UInt8], lifetimeMax: Duration?) throws(MalformedToken) {
        let claims = ClaimReader(try JWSHeader.object(payload, part: "payload"))
        issuer = Identifier(try claims.text("iss", bytesMax: AccessTokenClaims.issuerBytesMax))
        subject = Identifier(try claims.text("sub", bytesMax: AccessTokenClaims.nameBytesMax))
        clientID = Identifier(try claims.text("client_id", bytesMax: AccessTokenClaims.nameBytesMax))
        id = Identifier(try claims.text("jti", bytesMax: AccessTokenClaims.nameBytesMax))
        audiences = try claims.audiences()
        expiresAt = try claims.date("exp")
        issuedAt = try claims.date("iat")
        notBefore = try claims.optionalDate("nbf")
        authenticatedAt = try claims.optionalDate("auth_time")
        sessionID = try claims.optionalName("sid")
        grantID = try claims.optionalName("gid")
        acr = try claims.optionalText("acr", bytesMax: AccessTokenClaims.nameBytesMax)
        amr = try claims.texts("amr", countMax: AccessTokenClaims.methodsMax)
        roles = try claims.texts("roles", countMax: AccessTokenClaims.rolesMax).map { Identifier($0) }
        scope = try claims.scope()
        epochs = try claims.epochs()
        confirmation = try claims.confirmation()
        if let lifetimeMax, expiresAt - issuedAt > lifetimeMax {
            throw MalformedToken("exp is more than \(lifetimeMax.wholeSeconds) s after iat")
        }
    }
}

/// Reads single claims by their types.
struct ClaimReader {
    /// 9999-12-31T23:59:59Z. A date behind it, or before 1970, is no date (JW-12); milliseconds taken for seconds are found here.
    static let secondsMax: Int64 = 253_402_300_799

    private let claims: JSONObject

    init(_ claims: JSONObject) { self.claims = claims }

    func text(_ name: String, bytesMax: Int) throws(MalformedToken) -> String {
        guard let text = try optionalText(name, bytesMax: bytesMax) else { throw MalformedToken("\(name) is missing") }
        return text
    }

    func optionalText(_ name: String, bytesMax: Int) throws(MalformedToken) -> String? {
        guard let claim = claims[name] else { return nil }
        guard case .string(let text) = claim, (1...bytesMax).contains(text.utf8.count) else {
            throw MalformedToken("\(name) is not a string of 1 to \(bytesMax) bytes")
        }
        return text
    }

    func optionalName(_ name: String) throws(MalformedToken) -> Identifier? {
        try optionalText(name, bytesMax: AccessTokenClaims.nameBytesMax).map { Identifier($0) }
    }

    func texts(_ name: String, countMax: Int) throws(MalformedToken) -> [String] {
        guard let claim = claims[name] else { return [] }
        guard let texts = claim.strings, texts.count <= countMax,
            texts.allSatisfy({ (1...AccessTokenClaims.nameBytesMax).contains($0.utf8.count) })
        else { throw MalformedToken("\(name) is not a list of at most \(countMax) strings") }
        return texts
    }

    func date(_ name: String) throws(MalformedToken) -> Instant {
        guard let date = try optionalDate(name) else { throw MalformedToken("\(name) is missing") }
        return date
    }

    func optionalDate(_ name: String) throws(MalformedToken) -> Instant? {
        guard let claim = claims[name] else { return nil }
        guard let number = claim.number, let date = ClaimReader.date(number) else { throw MalformedToken("\(name) is no date") }
        return date
    }

    /// A NumericDate (RFC 7519 §2): seconds, whole or not, rounded down to milliseconds.
    static func date(_ number: JSONNumber) -> Instant? {
        if let seconds = number.int { return (0...secondsMax).contains(seconds) ? Instant(seconds: seconds) : nil }
        // The range makes the conversion below safe.
        guard let seconds = number.double, (0...Double(secondsMax)).contains(seconds) else { return nil }
        return Instant(milliseconds: Int64((seconds * 1_000).rounded(.down)))
    }

    /// One string or a list of them (RFC 7519 §4.1.3).
    func audiences() throws(MalformedToken) -> [Identifier] {
        guard let claim = claims["aud"] else { return [] }
        let texts = claim.string.map { [$0] } ?? claim.strings
        guard let texts, texts.count <= AccessTokenClaims.audiencesMax,
            texts.allSatisfy({ (1...AccessTokenClaims.audienceBytesMax).contains($0.utf8.count) })
        else { throw MalformedToken("aud is neither a string nor a list of strings") }
        return texts.map { Identifier($0) }
    }

    func scope() throws(MalformedToken) -> ScopeSet {
        guard let claim = claims["scope"] else { return .none }
        guard let text = claim.string, let scope = ScopeSet(parsing: text) else { throw MalformedToken("scope is no list of scopes") }
        return scope
    }

    /// `ver`: `[account, client]`, or one number for the account alone.
    func epochs() throws(MalformedToken) -> (account: Int64, client: Int64) {
        guard let claim = claims["ver"] else { return (0, 0) }
        if let account = claim.int, account >= 0 { return (account, 0) }
        guard let pair = claim.array, pair.count == 2, let account = pair[0].int, let client = pair[1].int, account >= 0, client >= 0
        else { throw MalformedToken("ver is neither a number nor two") }
        return (account, client)
    }

    func confirmation() throws(MalformedToken) -> AccessTokenClaims.Confirmation? {
        guard let claim = claims["cnf"] else { return nil }
        guard let object = claim.object else { throw MalformedToken("cnf is no object") }
        guard let member = object["jkt"] else { return AccessTokenClaims.Confirmation(jkt: nil) }
        guard let text = member.string, let bytes = Base64URL.decode(text), bytes.count == 32 else {
            throw MalformedToken("cnf.jkt is no thumbprint")
        }
        return AccessTokenClaims.Confirmation(jkt: text)
    }
}
