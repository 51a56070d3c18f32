/// The scopes of a token or a request: a set of names with an order, compared byte by byte (RFC 6749 §3.3).
public struct ScopeSet: Hashable, Sendable, CustomStringConvertible, Sequence {
    /// In the order of first mention, each once.
    public let values: [Identifier]

    public static let none = ScopeSet([])

    /// The most names that one request or token may carry.
    public static let countMax = 256
    /// The longest name, in bytes.
    public static let nameBytesMax = 255

    public init(_ values: some Sequence<Identifier>) {
        var unique: [Identifier] = []
        unique.reserveCapacity(values.underestimatedCount)
        var seen = Set<Identifier>()
        for value in values {
            // Few names are compared in place, many through a set: neither is quadratic.
            if unique.count < 16 {
                if !unique.contains(value) { unique.append(value) }
            } else {
                if seen.isEmpty { seen.formUnion(unique) }
                if seen.insert(value).inserted { unique.append(value) }
            }
        }
        self.values = unique
    }

    /// Reads RFC 6749 §3.3's list: names of printable ASCII but `"` and `\`, separated by one space.
    ///
    /// - Returns: Nothing when a byte is not allowed, a name is too long or there are too many. An empty text is the empty set.
    public init?(parsing text: String) {
        var copy = text
        let names: [Identifier]? = copy.withUTF8 { bytes in
            if bytes.isEmpty { return [] }
            var names: [Identifier] = []
            var start = 0
            for end in 0...bytes.count where end == bytes.count || bytes[end] == UInt8(ascii: " ") {
                let name = UnsafeBufferPointer(rebasing: bytes[start..<end])
                guard ScopeSet.isName(name), names.count < ScopeSet.countMax else { return nil }
                names.append(Identifier(String(decoding: name, as: UTF8.self)))
                start = end + 1
            }
            return names
        }
        guard let names else { return nil }
        self = names.count < 2 ? ScopeSet(unique: names) : ScopeSet(names)
    }

    private init(unique names: [Identifier]) { self.values = names }

    /// Whether `bytes` is one scope-token of RFC 6749 §3.3.
    public static func isName(_ bytes: some Collection<UInt8>) -> Bool {
        !bytes.isEmpty && bytes.count <= nameBytesMax && bytes.allSatisfy { $0 == 0x21 || (0x23...0x5B) ~= $0 || (0x5D...0x7E) ~= $0 }
    }

    public var isEmpty: Bool { values.isEmpty }
    public var description: String { values.map(\.text).joined(separator: " ") }
    public func makeIterator() -> IndexingIterator<[Identifier]> { values.makeIterator() }
    public func contains(_ name: Identifier) -> Bool { values.contains(name) }
    public func isSubset(of other: ScopeSet) -> Bool { values.allSatisfy(other.contains) }
    public func intersection(_ other: ScopeSet) -> ScopeSet { ScopeSet(values.filter(other.contains)) }
    public func union(_ other: ScopeSet) -> ScopeSet { ScopeSet(values + other.values) }
    public func subtracting(_ other: ScopeSet) -> ScopeSet { ScopeSet(values.filter { !other.contains($0) }) }

    /// Whatever the order.
    public static func == (left: ScopeSet, right: ScopeSet) -> Bool {
        left.values == right.values || left.values.count == right.values.count && Set(left.values) == Set(right.values)
    }
    public func hash(into hasher: inout Hasher) { hasher.combine(Set(values)) }
}
