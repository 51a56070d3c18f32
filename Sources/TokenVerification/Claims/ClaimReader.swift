internal import AuthCore

/// The claims that Gatehouse reads.
enum Claim: Int, CaseIterable {
    case issuer, subject, clientID, id, audience, expiry, issuedAt, notBefore, authenticatedAt, session, grant, acr, amr, roles, scope
    case epochs, confirmation, passedOn

    var name: String {
        switch self {
        case .issuer: "iss"
        case .subject: "sub"
        case .clientID: "client_id"
        case .id: "jti"
        case .audience: "aud"
        case .expiry: "exp"
        case .issuedAt: "iat"
        case .notBefore: "nbf"
        case .authenticatedAt: "auth_time"
        case .session: "sid"
        case .grant: "gid"
        case .acr: "acr"
        case .amr: "amr"
        case .roles: "roles"
        case .scope: "scope"
        case .epochs: "ver"
        case .confirmation: "cnf"
        case .passedOn: "via"
        }
    }

    private static let packedNames: [UInt128] = allCases.map { packed($0.name) }

    /// The claim with exactly these bytes as its name.
    init?(named name: String) {
        guard name.utf8.count < 16 else { return nil }
        let packed = Claim.packed(name)
        guard let index = Claim.packedNames.firstIndex(of: packed) else { return nil }
        self.init(rawValue: index)
    }

    /// Up to 15 bytes and their count as one number, so that a name is compared at once.
    private static func packed(_ name: String) -> UInt128 { name.utf8.reduce(UInt128(name.utf8.count)) { $0 << 8 | UInt128($1) } }
}

/// Reads single claims by their types.
struct ClaimReader {
    /// 9999-12-31T23:59:59Z. A date behind it, or before 1970, is no date (JW-12); milliseconds taken for seconds are found here.
    static let secondsMax: Int64 = 253_402_300_799

    /// By `Claim.rawValue`.
    private var values: [JSONValue?]

    init(_ claims: JSONObject) {
        values = [JSONValue?](repeating: nil, count: Claim.allCases.count)
        for (name, value) in claims {
            if let claim = Claim(named: name) { values[claim.rawValue] = value }
        }
    }

    private subscript(_ claim: Claim) -> JSONValue? { values[claim.rawValue] }

    func text(_ claim: Claim, bytesMax: Int) throws(MalformedToken) -> String {
        guard let text = try optionalText(claim, bytesMax: bytesMax) else { throw MalformedToken("\(claim.name) is missing") }
        return text
    }

    func optionalText(_ claim: Claim, bytesMax: Int) throws(MalformedToken) -> String? {
        guard let value = self[claim] else { return nil }
        guard case .string(let text) = value, (1...bytesMax).contains(text.utf8.count) else {
            throw MalformedToken("\(claim.name) is not a string of 1 to \(bytesMax) bytes")
        }
        return text
    }

    func optionalName(_ claim: Claim) throws(MalformedToken) -> Identifier? {
        try optionalText(claim, bytesMax: AccessTokenClaims.nameBytesMax).map { Identifier($0) }
    }

    func texts(_ claim: Claim, countMax: Int) throws(MalformedToken) -> [String] {
        guard let value = self[claim] else { return [] }
        guard let texts = value.strings, texts.count <= countMax,
            texts.allSatisfy({ (1...AccessTokenClaims.nameBytesMax).contains($0.utf8.count) })
        else { throw MalformedToken("\(claim.name) is not a list of at most \(countMax) strings") }
        return texts
    }

    func date(_ claim: Claim) throws(MalformedToken) -> Instant {
        guard let date = try optionalDate(claim) else { throw MalformedToken("\(claim.name) is missing") }
        return date
    }

    func optionalDate(_ claim: Claim) throws(MalformedToken) -> Instant? {
        guard let value = self[claim] else { return nil }
        guard let number = value.number, let date = ClaimReader.date(number) else { throw MalformedToken("\(claim.name) is no date") }
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
        guard let value = self[.audience] else { return [] }
        let texts = value.string.map { [$0] } ?? value.strings
        guard let texts, texts.count <= AccessTokenClaims.audiencesMax,
            texts.allSatisfy({ (1...AccessTokenClaims.audienceBytesMax).contains($0.utf8.count) })
        else { throw MalformedToken("aud is neither a string nor a list of strings") }
        return texts.map { Identifier($0) }
    }

    func scope() throws(MalformedToken) -> ScopeSet {
        guard let value = self[.scope] else { return .none }
        guard let text = value.string, let scope = ScopeSet(parsing: text) else { throw MalformedToken("scope is no list of scopes") }
        return scope
    }

    /// `ver`: `[account, client]`, or one number for the account alone.
    func epochs() throws(MalformedToken) -> (account: Int64, client: Int64) {
        guard let value = self[.epochs] else { return (0, 0) }
        if let account = value.int, account >= 0 { return (account, 0) }
        guard let pair = value.array, pair.count == 2, let account = pair[0].int, let client = pair[1].int, account >= 0, client >= 0
        else { throw MalformedToken("ver is neither a number nor two") }
        return (account, client)
    }

    /// `via`: `[client, version]` of each client that has passed the token on.
    func passedOn() throws(MalformedToken) -> [AccessToken.Holder] {
        guard let value = self[.passedOn] else { return [] }
        guard let pairs = value.array, pairs.count <= AccessToken.holdersMax else { throw MalformedToken("via is no list of clients") }
        var holders: [AccessToken.Holder] = []
        for pair in pairs {
            guard let pair = pair.array, pair.count == 2, let client = pair[0].string, let epoch = pair[1].int, epoch >= 0,
                (1...AccessTokenClaims.nameBytesMax).contains(client.utf8.count)
            else { throw MalformedToken("via is no list of clients") }
            holders.append(AccessToken.Holder(client: Identifier(client), epoch: epoch))
        }
        return holders
    }

    func confirmation() throws(MalformedToken) -> AccessTokenClaims.Confirmation? {
        guard let value = self[.confirmation] else { return nil }
        guard let object = value.object else { throw MalformedToken("cnf is no object") }
        let jkt = try ClaimReader.thumbprint(object, "jkt")
        let x5t = try ClaimReader.thumbprint(object, "x5t#S256")
        let known = (jkt == nil ? 0 : 1) + (x5t == nil ? 0 : 1)
        return AccessTokenClaims.Confirmation(jkt: jkt, x5t: x5t, isUnknown: known == 0 || object.count > known)
    }

    private static func thumbprint(_ object: JSONObject, _ name: String) throws(MalformedToken) -> String? {
        guard let member = object[name] else { return nil }
        guard let text = member.string, let bytes = Base64URL.decode(text), bytes.count == 32 else {
            throw MalformedToken("cnf.\(name) is no thumbprint")
        }
        return text
    }
}
