extension String {
    /// Whether both hold the same UTF-8 bytes. `isSameBytes(as:)` of AuthCore, written for two strings, because the generic
    /// one is not specialised across modules and costs ten times as much on the path of every new token.
    func hasBytes(of other: String) -> Bool {
        guard utf8.count == other.utf8.count else { return false }
        var left = self
        var right = other
        return left.withUTF8 { left in
            right.withUTF8 { right in
                for index in left.indices where left[index] != right[index] { return false }
                return true
            }
        }
    }
}
