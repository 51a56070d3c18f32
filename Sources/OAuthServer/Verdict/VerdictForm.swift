package import AuthCore
internal import TokenVerification

/// `gatehouse verdict form`: is this the form of a request to the token endpoint and its like, and what does it say?
///
/// Input: `body_b64`, in standard base64 with padding. The answer to a good one has `parameters`: each with its text, `resource` and
/// `audience`, which may be repeated, with a list when there are several. A parameter without a value is left out (RFC 6749 §3.2).
package enum VerdictForm {
    package static func answer(_ line: JSONObject) -> JSONObject {
        guard let text = line["body_b64"]?.string, let bytes = Base64.decode(text.utf8) else { return VerdictCase.invalid(line) }
        do throws(FormParameters.Fault) {
            let form = try FormParameters(bytes)
            var parameters = JSONObject()
            for (name, value) in form.members where !value.isEmpty {
                switch parameters[name] {
                case nil: parameters[name] = .string(value)
                case .array(let values): parameters[name] = .array(values + [.string(value)])
                case .some(let first): parameters[name] = .array([first, .string(value)])
                }
            }
            var answer = VerdictCase.accept(line)
            answer["parameters"] = .object(parameters)
            return answer
        } catch { return VerdictCase.reject(line, OAuthError(error).reason.rawValue) }
    }
}

/// `gatehouse verdict basic`: are these the credentials of a client, and which (RFC 6749 §2.3.1)?
///
/// Input: `header`, the value of `Authorization`. The answer to a good one has `client_id` and `client_secret`; the latter may be empty.
package enum VerdictBasic {
    package static func answer(_ line: JSONObject) -> JSONObject {
        guard let header = line["header"]?.string else { return VerdictCase.invalid(line) }
        guard let basic = BasicCredentials(header: Array(header.utf8)[...]) else {
            return VerdictCase.reject(line, OAuthError.Reason.clientSecretMissing.rawValue)
        }
        var answer = VerdictCase.accept(line)
        answer["client_id"] = .string(basic.clientID.text)
        answer["client_secret"] = .string(basic.secret.exposed)
        return answer
    }
}
