package import AuthCore

/// `gatehouse verdict identifier`: is this a user name or an e-mail address, and under which form is the account found?
///
/// Input: `kind` (`username` or `email`) and `value`. Adds `canonical`, null when it is refused.
package enum VerdictIdentifier {
    package static func answer(_ line: JSONObject) -> JSONObject {
        guard let kind = line["kind"]?.string, let value = line["value"]?.string,
            kind.isSameBytes(as: "username") || kind.isSameBytes(as: "email")
        else { return VerdictCase.invalid(line) }
        var answer: JSONObject
        do throws(IdentifierRefusal) {
            let canonical = kind.isSameBytes(as: "username") ? try Canonical.username(value) : try Canonical.email(value)
            answer = VerdictCase.accept(line)
            answer["canonical"] = .string(canonical.text)
        } catch {
            answer = VerdictCase.reject(line, error.rawValue)
            answer["canonical"] = .null
        }
        return answer
    }
}
