/// A JSON value as `JSONReader` found it (RFC 8259).
public enum JSONValue: Sendable, Equatable {
    case null
    case bool(Bool)
    case number(JSONNumber)
    case string(String)
    case array([JSONValue])
    case object(JSONObject)

    public var string: String? { if case .string(let value) = self { value } else { nil } }
    public var bool: Bool? { if case .bool(let value) = self { value } else { nil } }
    public var array: [JSONValue]? { if case .array(let value) = self { value } else { nil } }
    public var object: JSONObject? { if case .object(let value) = self { value } else { nil } }
    public var number: JSONNumber? { if case .number(let value) = self { value } else { nil } }
    /// The number as a whole number, `1.0` and `1e3` included; nothing when it is none or does not fit.
    public var int: Int64? { number?.int }
    public var isNull: Bool { if case .null = self { true } else { false } }

    /// Every element as text; nothing when this is no array or one element is not text.
    public var strings: [String]? {
        guard let array else { return nil }
        var texts: [String] = []
        texts.reserveCapacity(array.count)
        for element in array {
            guard let text = element.string else { return nil }
            texts.append(text)
        }
        return texts
    }

    public static func == (left: JSONValue, right: JSONValue) -> Bool {
        switch (left, right) {
        case (.null, .null): true
        case (.bool(let a), .bool(let b)): a == b
        case (.number(let a), .number(let b)): a == b
        case (.string(let a), .string(let b)): a.isSameBytes(as: b)
        case (.array(let a), .array(let b)): a == b
        case (.object(let a), .object(let b)): a == b
        default: false
        }
    }
}

/// A number by its text, so that nothing is lost and nothing traps.
public struct JSONNumber: Sendable, Hashable {
    public let text: String
    /// The value when it is whole and fits 64 bits.
    public let int: Int64?

    public init(_ value: Int64) {
        self.text = String(value)
        self.int = value
    }

    /// - Parameter text: A number in JSON's grammar; the reader has checked it.
    init(checked text: String, isInteger: Bool) {
        self.text = text
        if isInteger {
            self.int = Int64(text)
        } else if let double = Double(text), double.magnitude < 9_007_199_254_740_992 {
            self.int = Int64(exactly: double)
        } else {
            self.int = nil
        }
    }

    /// Nothing when it overflows to infinity.
    public var double: Double? {
        guard let value = Double(text), value.isFinite else { return nil }
        return value
    }
}

/// The members of an object in their order; names are unique byte by byte.
public struct JSONObject: Sendable, Equatable, Sequence {
    public private(set) var members: [(name: String, value: JSONValue)]

    public init(_ members: [(name: String, value: JSONValue)] = []) { self.members = members }

    public var count: Int { members.count }
    public var names: [String] { members.map(\.name) }

    /// The value under exactly this name.
    public subscript(_ name: String) -> JSONValue? {
        get {
            for index in members.indices where members[index].name.isSameBytes(as: name) { return members[index].value }
            return nil
        }
        set {
            if let index = members.firstIndex(where: { $0.name.isSameBytes(as: name) }) {
                if let newValue { members[index].value = newValue } else { members.remove(at: index) }
            } else if let newValue {
                members.append((name, newValue))
            }
        }
    }

    public func makeIterator() -> IndexingIterator<[(name: String, value: JSONValue)]> { members.makeIterator() }

    public static func == (left: JSONObject, right: JSONObject) -> Bool {
        left.count == right.count && left.members.allSatisfy { right[$0.name] == $0.value }
    }
}
