internal import AuthCore

/// The answers of `gatehouse verdict`, whose shape the kinds of this target share.
enum VerdictCase {
    /// A line that is no valid case of its kind.
    static func invalid(_ line: JSONObject) -> JSONObject { answer(line, "error", reason: "invalid_case") }

    static func accept(_ line: JSONObject) -> JSONObject { answer(line, "accept", reason: nil) }

    static func reject(_ line: JSONObject, _ reason: String) -> JSONObject { answer(line, "reject", reason: reason) }

    /// `reason` is null when there is none, so that every line has the same members.
    private static func answer(_ line: JSONObject, _ verdict: String, reason: String?) -> JSONObject {
        JSONObject([("id", line["id"] ?? .null), ("verdict", .string(verdict)), ("reason", reason.map { .string($0) } ?? .null)])
    }

    /// An optional text: absent and null are the same.
    ///
    /// - Returns: Nothing when it is of another type.
    static func optionalText(_ line: JSONObject, _ name: String) -> String?? {
        guard let value = line[name], !value.isNull else { return .some(nil) }
        return value.string.map { .some($0) }
    }
}
