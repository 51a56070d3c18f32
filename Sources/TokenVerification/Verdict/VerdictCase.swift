package import AuthCore

/// The answers of `gatehouse verdict`, whose shape its kinds share.
package enum VerdictCase {
    /// A line that is no valid case of its kind.
    package static func invalid(_ line: JSONObject) -> JSONObject { answer(line, "error", reason: "invalid_case") }

    package static func accept(_ line: JSONObject) -> JSONObject { answer(line, "accept", reason: nil) }

    package static func reject(_ line: JSONObject, _ reason: String) -> JSONObject { answer(line, "reject", reason: reason) }

    /// `reason` is null when there is none, so that every line has the same members.
    private static func answer(_ line: JSONObject, _ verdict: String, reason: String?) -> JSONObject {
        JSONObject([("id", line["id"] ?? .null), ("verdict", .string(verdict)), ("reason", reason.map { .string($0) } ?? .null)])
    }
}
