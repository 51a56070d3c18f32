internal import AuthCore
internal import TokenVerification

extension TokenExplanation {
    /// Writes `checks`: each check in order, with what it expected and what it found.
    func write(to json: inout JSONWriter) { json.array("checks") { list in for check in checks { list.value(check.json) } } }
}
