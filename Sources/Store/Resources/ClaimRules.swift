package import AuthCore

/// What further claims tokens get, as rules: of a resource for access tokens, of a client for its ID tokens and UserInfo.
///
/// Written as an object: the name of a claim, and where it comes from. `{value: …}` is the same for everybody; `{from: roles}`,
/// `{from: username}` or `{from: email}` is of the account. Of the texts that come out, `prefix` keeps those that begin with it, without
/// it; `map` puts others in their place, in its own order, and drops what it does not name; `first` takes the first one alone; `default` stands in for none.
/// `scope` asks for a scope that was granted.
package struct ClaimRules: Sendable, Equatable {
    package enum Source: String, Sendable, CaseIterable {
        case username, email, roles
    }

    package struct Rule: Sendable, Equatable {
        package let name: String
        /// Nothing: it is constant.
        package var source: Source?
        package var value: JSONValue?
        package var prefix: String?
        package var map: [(from: String, to: String)]?
        package var takesFirst = false
        package var fallback: JSONValue?
        package var scope: Identifier?

        package static func == (lhs: Rule, rhs: Rule) -> Bool {
            lhs.name.isSameBytes(as: rhs.name) && lhs.written == rhs.written
        }

        fileprivate let written: JSONValue
    }

    package static let countMax = 32
    private static let nameBytesMax = 128
    private static let valueBytesMax = 1_024
    private static let mapMax = 64

    /// Those that say who, for whom, how long and by whose leave: no rule may write them (RFC 7519 §4.1, RFC 8693 §4, RFC 9068 §2.2,
    /// OpenID Connect Core §2, and our own).
    package static let reserved: Set<Identifier> = [
        "iss", "sub", "aud", "exp", "nbf", "iat", "jti", "typ", "client_id", "azp", "scope", "scp", "cnf", "act", "may_act", "sid", "gid",
        "ver", "nonce", "at_hash", "c_hash", "s_hash", "auth_time", "acr", "amr", "events", "authorization_details", "token_introspection",
        "active", "username", "token_type", "email_verified", "phone_number_verified", "toe", "txn", "rctx", "tctx",
    ]

    package private(set) var rules: [Rule] = []

    package init() {}

    /// - Throws: What is wrong, for whoever wrote it.
    package init(_ object: JSONObject) throws(Fault) {
        guard object.count <= ClaimRules.countMax else { throw Fault("has more than \(ClaimRules.countMax) claims") }
        for (name, value) in object { rules.append(try ClaimRules.rule(name, value)) }
    }

    package struct Fault: Error, Sendable {
        package let text: String
        fileprivate init(_ text: String) { self.text = text }
    }

    /// Nothing when there are no rules.
    package var written: JSONObject? {
        rules.isEmpty ? nil : JSONObject(rules.map { ($0.name, $0.written) })
    }

    private static func rule(_ name: String, _ value: JSONValue) throws(Fault) -> Rule {
        guard (1...nameBytesMax).contains(name.utf8.count), name.utf8.allSatisfy({ (0x21...0x7E) ~= $0 && $0 != 0x22 && $0 != 0x5C }) else {
            throw Fault("has a name that is no printable ASCII of at most \(nameBytesMax) bytes")
        }
        guard !reserved.contains(Identifier(name)) else { throw Fault("names \(name), which no rule may write") }
        guard let object = value.object else { throw Fault("has for \(name) no mapping such as {from: roles}") }
        var rule = Rule(name: name, written: value)
        for (member, value) in object {
            switch member {
            case "value":
                guard value.encoded.count <= valueBytesMax, !value.isNull else { throw Fault("has for \(name) no value, or a long one") }
                rule.value = value
            case "from":
                guard let source = value.string.flatMap({ Source(rawValue: $0) }) else {
                    throw Fault("has for \(name) a from that is none of \(Source.allCases.map(\.rawValue).joined(separator: ", "))")
                }
                rule.source = source
            case "prefix": rule.prefix = try text(value, name, member)
            case "map": rule.map = try map(value, name)
            case "first":
                guard let flag = value.bool else { throw Fault("has for \(name) a first that is neither true nor false") }
                rule.takesFirst = flag
            case "default":
                guard value.encoded.count <= valueBytesMax, !value.isNull else { throw Fault("has for \(name) no default, or a long one") }
                rule.fallback = value
            case "scope": rule.scope = Identifier(try text(value, name, member))
            default: throw Fault("has for \(name) the member \(member), which is none of value, from, prefix, map, first, default, scope")
            }
        }
        guard (rule.source == nil) != (rule.value == nil) else { throw Fault("has for \(name) not exactly one of value and from") }
        let shapes = rule.prefix != nil || rule.map != nil || rule.takesFirst || rule.fallback != nil
        if rule.value != nil, shapes { throw Fault("has for \(name) a value, beside which only scope has a use") }
        return rule
    }

    private static func text(_ value: JSONValue, _ name: String, _ member: String) throws(Fault) -> String {
        guard let text = value.string, (1...255).contains(text.utf8.count) else {
            throw Fault("has for \(name) a \(member) that is no text of at most 255 bytes")
        }
        return text
    }

    private static func map(_ value: JSONValue, _ name: String) throws(Fault) -> [(from: String, to: String)] {
        guard let object = value.object, (1...mapMax).contains(object.count) else {
            throw Fault("has for \(name) a map that is no mapping of at most \(mapMax) members")
        }
        var map: [(from: String, to: String)] = []
        for (from, to) in object { map.append((from, try text(to, name, "map"))) }
        return map
    }
}

extension ClaimRules.Rule {
    /// What comes out of the texts that its source has; nothing when the claim is left out.
    package func applied(to texts: [String], isList: Bool) -> JSONValue? {
        if let value { return value }
        var texts = texts
        if let prefix {
            texts = texts.filter { $0.utf8.starts(with: prefix.utf8) }.map { String(Substring($0.utf8.dropFirst(prefix.utf8.count))) }
        }
        if let map {
            // In its own order, so that whoever writes it says what goes first.
            texts = map.filter { row in texts.contains { $0.isSameBytes(as: row.from) } }.map(\.to)
        }
        guard let first = texts.first else { return fallback }
        return isList && !takesFirst ? .array(texts.map { .string($0) }) : .string(first)
    }
}
