package import AuthCore
internal import Store

/// `gatehouse verdict route`: which route takes this request? By the code that serves requests.
///
/// Input: `method`, `host` (text, or null for HTTP/1.0 without one), `target_b64` (base64 or base64url of the target's
/// bytes). The answer adds `path` (null when the target is not canonical), `route` and `require` (null when no route takes
/// it). `require` is `"none"` for an open route, else an object as in a resource file, with the audience that applies.
/// `reason` of a rejection: `malformed`, with what is wrong in `detail`; `no_route`; or `method_not_allowed`, with `allow`.
package struct RouteVerdict: Sendable {
    private let table: RouteTable

    package init(_ table: RouteTable) { self.table = table }

    package func answer(_ line: JSONObject) -> JSONObject {
        guard let method = line["method"]?.string, let encoded = line["target_b64"]?.string,
            let target = Base64.decode(encoded.utf8) ?? Base64URL.decode(encoded.utf8)
        else { return answer(line, "error", reason: "invalid_case") }
        let host: WantedRequest.Host
        switch line["host"] {
        case .string(let text)?: host = .one(Array(text.utf8)[...])
        case .null?: host = .missingAsAllowed
        default: return answer(line, "error", reason: "invalid_case")
        }
        switch RouteFinder.find(WantedRequest(method: method, target: target, host: host), in: table) {
        case .found(let target, let route):
            var answer = answer(line, "accept", reason: nil)
            answer["path"] = .string(target.pathText)
            answer["route"] = .string(route.plan.name)
            answer["require"] = RouteVerdict.requirement(of: route)
            return answer
        case .refused(let template):
            let isMalformed = template.status == 400 || template.status == 414
            var answer = answer(line, "reject", reason: isMalformed ? "malformed" : template.reason)
            answer["path"] = canonicalPath(target)
            answer["route"] = .null
            answer["require"] = .null
            if isMalformed { answer["detail"] = .string(template.reason) }
            if let allow = template.allow { answer["allow"] = .string(allow) }
            return answer
        }
    }

    private func answer(_ line: JSONObject, _ verdict: String, reason: String?) -> JSONObject {
        JSONObject([("id", line["id"] ?? .null), ("verdict", .string(verdict)), ("reason", reason.map { .string($0) } ?? .null)])
    }

    private func canonicalPath(_ target: [UInt8]) -> JSONValue {
        do throws(TargetFault) { return .string(try CanonicalTarget(target).pathText) } catch { return .null }
    }

    private static func requirement(of route: Route) -> JSONValue {
        var definition = route.definition
        if case .token(var rule) = definition.requirement, case .token(let access) = route.access {
            rule.audiences = access.audiences
            definition.requirement = .token(rule)
        }
        // Left out when it asks for a token and nothing more.
        return ResourceJSON.encode(definition).object?["require"] ?? .object(JSONObject())
    }
}
