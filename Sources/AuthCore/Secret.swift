/// A value that must never be printed, logged or compared in haste: a password, a client secret, a token, a key.
///
/// It has no `Equatable` and its description is a dash, so a slip of the pen does not put it into a log.
public struct Secret<Value: Sendable>: Sendable, CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    /// The value itself. Each use of this property is a place that a reviewer looks at.
    public let exposed: Value

    public init(_ value: Value) { self.exposed = value }

    public var description: String { "‹secret›" }
    public var debugDescription: String { "‹secret›" }
    public var customMirror: Mirror { Mirror(self, children: []) }
}

extension Secret where Value: Collection<UInt8> {
    public func isSame(as other: Secret<Value>) -> Bool { isEqualInConstantTime(exposed, other.exposed) }
}

extension Secret<String> {
    public func isSame(as other: Secret<String>) -> Bool { isEqualInConstantTime(exposed.utf8, other.exposed.utf8) }
}
