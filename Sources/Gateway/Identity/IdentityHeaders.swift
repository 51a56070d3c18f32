internal import AuthCore
internal import TokenVerification

/// `identity: headers`: who is calling, as header fields that the service can trust.
enum IdentityHeaders {
    /// The longest value, in bytes.
    static let valueBytesMax = 8_192

    /// The fields, without those that the token says nothing about.
    ///
    /// - Returns: Nothing when a value cannot be a field value without being changed: a byte outside printable ASCII, a space
    ///   at either end, or too long. It is refused and not encoded, because a service that compares the header with a name
    ///   must not find another name there (GW-26, CVE-2023-0040).
    static func fields(for token: AccessToken) -> [(name: String, value: String)]? {
        var fields: [(name: String, value: String)] = []
        fields.reserveCapacity(4)
        guard isFieldValue(token.subject.text), isFieldValue(token.clientID.text) else { return nil }
        fields.append(("x-auth-subject", token.subject.text))
        fields.append(("x-auth-client", token.clientID.text))
        if !token.scope.isEmpty {
            let scope = joined(token.scope.values)
            guard isFieldValue(scope) else { return nil }
            fields.append(("x-auth-scope", scope))
        }
        if let session = token.sessionID {
            guard isFieldValue(session.text) else { return nil }
            fields.append(("x-auth-session", session.text))
        }
        return fields
    }

    static func isFieldValue(_ text: String) -> Bool {
        let bytes = text.utf8
        guard let first = bytes.first, let last = bytes.last, first != 0x20, last != 0x20, bytes.count <= valueBytesMax else {
            return false
        }
        // One look at all bytes together costs less than a branch for each.
        var isOutside = false
        for byte in bytes { isOutside = isOutside || byte &- 0x20 > 0x7E - 0x20 }
        return !isOutside
    }

    /// The names with one space between, in one allocation: this is written for every request.
    private static func joined(_ names: [Identifier]) -> String {
        if names.count == 1 { return names[0].text }
        var text = ""
        text.reserveCapacity(names.reduce(names.count) { $0 + $1.utf8Count })
        for name in names {
            if !text.isEmpty { text.append(" ") }
            text.append(name.text)
        }
        return text
    }
}
