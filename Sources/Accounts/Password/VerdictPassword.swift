package import AuthCore

/// `gatehouse verdict password`: may this password be set? The reasons are those of `PasswordRefusal`.
///
/// Input: `password`, and `username` and `email`, which may be absent or null.
package enum VerdictPassword {
    package static func answer(_ line: JSONObject) -> JSONObject {
        guard let password = line["password"]?.string, let username = VerdictCase.optionalText(line, "username"),
            let email = VerdictCase.optionalText(line, "email")
        else { return VerdictCase.invalid(line) }
        if let refusal = PasswordPolicy().refusal(of: Password(Secret(password)), username: username, email: email) {
            return VerdictCase.reject(line, refusal.rawValue)
        }
        return VerdictCase.accept(line)
    }
}
