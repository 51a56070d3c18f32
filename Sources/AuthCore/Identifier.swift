/// A name that is compared byte by byte.
///
/// Swift's `String ==` is canonical equivalence: `"K"` equals U+212A and `";"` equals U+037E. A database compares
/// bytes. Whatever grants something by its name (a client, a user, a scope, a session) is therefore an `Identifier`.
public struct Identifier: Hashable, Comparable, Sendable, CustomStringConvertible, ExpressibleByStringLiteral {
    public let text: String

    public init(_ text: String) { self.text = text }
    public init(stringLiteral text: String) { self.text = text }

    public var description: String { text }
    public var utf8Count: Int { text.utf8.count }

    public static func == (left: Identifier, right: Identifier) -> Bool { left.text.isSameBytes(as: right.text) }

    public func hash(into hasher: inout Hasher) {
        var copy = text
        copy.withUTF8 { hasher.combine(bytes: UnsafeRawBufferPointer($0)) }
    }

    public static func < (left: Identifier, right: Identifier) -> Bool {
        left.text.utf8.lexicographicallyPrecedes(right.text.utf8)
    }
}

extension String {
    /// The same for two strings, which is the usual case: the generic one is not specialised in other modules.
    public func isSameBytes(as other: String) -> Bool {
        guard utf8.count == other.utf8.count else { return false }
        // Without a copy and without a count of references: both are views of bytes that lie together, but for strings bridged from elsewhere.
        let isSame = utf8.withContiguousStorageIfAvailable { left in
            other.utf8.withContiguousStorageIfAvailable { right in
                for index in left.indices where left[index] != right[index] { return false }
                return true
            }
        }
        return (isSame ?? nil) ?? utf8.elementsEqual(other.utf8)
    }
}

extension StringProtocol {
    /// Whether both hold the same UTF-8 bytes. Not for secrets: it stops at the first difference.
    public func isSameBytes(as other: some StringProtocol) -> Bool {
        utf8.count == other.utf8.count && utf8.elementsEqual(other.utf8)
    }
}

/// Whether two secrets are the same, in a time that depends on their lengths alone.
@inlinable
public func isEqualInConstantTime(_ left: some Collection<UInt8>, _ right: some Collection<UInt8>) -> Bool {
    guard left.count == right.count else { return false }
    var difference: UInt8 = 0
    for (a, b) in zip(left, right) { difference |= a ^ b }
    return difference == 0
}
