package import AuthCore
internal import Store
internal import TokenVerification

/// `gatehouse verdict redirect`: would an authorization response go to this address?
///
/// Input: `registered`, a list of URIs; `application_type`, `web` (also when left out) or `native`; `requested`. A registered one that no
/// client of Gatehouse can have counts for nothing. Whether a request may leave `redirect_uri` out is not asked.
package enum VerdictRedirect {
    package static func answer(_ line: JSONObject) -> JSONObject {
        guard let registered = line["registered"]?.array, let requested = line["requested"]?.string,
            let type = applicationType(line["application_type"])
        else { return VerdictCase.invalid(line) }
        let uris = registered.compactMap(\.string)
        guard uris.count == registered.count else { return VerdictCase.invalid(line) }
        let matches = RedirectMatch.matches(
            requested, registered: uris.filter { URISyntax.redirectFault($0) == nil }, applicationType: type)
        return matches ? VerdictCase.accept(line) : VerdictCase.reject(line, OAuthError.Reason.redirectURIUnregistered.rawValue)
    }

    private static func applicationType(_ value: JSONValue?) -> ApplicationType? {
        guard let value, !value.isNull else { return .web }
        return value.string.flatMap { ApplicationType(rawValue: $0) }
    }
}
