/// The parameters of a form or a query (`application/x-www-form-urlencoded`, RFC 6749 §3.1, §3.2 and appendix B).
///
/// A repeated parameter is refused, except the few that a specification allows to be repeated. An empty value counts as absent.
public struct FormParameters: Sendable {
    public enum Fault: Error, Sendable, Equatable {
        case tooLong
        case tooMany
        /// A broken escape, a NUL, a byte outside ASCII, or a result that is not UTF-8.
        case malformed
        case repeated(String)
    }

    public static let bytesMax = 65_536
    public static let countMax = 128
    public static let nameBytesMax = 128
    /// Resource indicators (RFC 8707 §2) and the audiences of token exchange (RFC 8693 §2.1).
    private static let repeatable = ["resource", "audience"]

    /// In the order of the request, empty values left out.
    public private(set) var members: [(name: String, value: String)] = []

    public init() {}

    public init(_ bytes: some Collection<UInt8>) throws(Fault) { try self.init(contiguous: Array(bytes)[...]) }

    /// Without generics: other modules would run them unspecialised, which takes several times as long.
    private init(contiguous bytes: ArraySlice<UInt8>) throws(Fault) {
        guard bytes.count <= FormParameters.bytesMax else { throw .tooLong }
        if bytes.isEmpty { return }
        for pair in bytes.split(separator: UInt8(ascii: "&"), omittingEmptySubsequences: true) {
            let name = pair.prefix { $0 != UInt8(ascii: "=") }
            let value = pair.dropFirst(name.count + 1)
            guard let decodedName = FormEncoding.decode(name), let decodedValue = FormEncoding.decode(value) else { throw .malformed }
            guard (1...FormParameters.nameBytesMax).contains(decodedName.utf8.count) else { throw .malformed }
            guard members.count < FormParameters.countMax else { throw .tooMany }
            let isRepeatable = FormParameters.repeatable.contains { $0.isSameBytes(as: decodedName) }
            if !isRepeatable, seen(decodedName) { throw .repeated(decodedName) }
            members.append((decodedName, decodedValue))
        }
    }

    public init(_ members: [(name: String, value: String)]) { self.members = members }

    private func seen(_ name: String) -> Bool { members.contains { $0.name.isSameBytes(as: name) } }

    /// The value; nothing when absent or empty.
    public subscript(_ name: StaticString) -> String? {
        for member in members where FormParameters.matches(member.name, name) { return member.value.isEmpty ? nil : member.value }
        return nil
    }

    /// All values of a parameter that may be repeated, empty ones left out.
    public func all(_ name: StaticString) -> [String] {
        members.filter { FormParameters.matches($0.name, name) && !$0.value.isEmpty }.map(\.value)
    }

    /// Only the parameters with these names.
    public func filtered(_ names: Set<Identifier>) -> FormParameters {
        FormParameters(members.filter { names.contains(Identifier($0.name)) })
    }

    /// The form that reads as this.
    public var encoded: String {
        members.map { "\(FormEncoding.encode($0.name))=\(FormEncoding.encode($0.value))" }.joined(separator: "&")
    }

    private static func matches(_ text: String, _ name: StaticString) -> Bool {
        text.utf8.count == name.utf8CodeUnitCount
            && text.utf8.elementsEqual(UnsafeBufferPointer(start: name.utf8Start, count: name.utf8CodeUnitCount))
    }
}
