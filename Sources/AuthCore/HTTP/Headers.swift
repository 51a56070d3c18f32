/// Header fields as they came: one buffer and the places in it, names compared without regard to ASCII case.
public struct Headers: Sendable {
    public struct Field: Sendable {
        package let nameStart: UInt32
        package let nameLength: UInt32
        package let valueStart: UInt32
        package let valueLength: UInt32

        package init(name: Range<Int>, value: Range<Int>) {
            nameStart = UInt32(name.lowerBound)
            nameLength = UInt32(name.count)
            valueStart = UInt32(value.lowerBound)
            valueLength = UInt32(value.count)
        }

        package var name: Range<Int> { Int(nameStart)..<Int(nameStart + nameLength) }
        package var value: Range<Int> { Int(valueStart)..<Int(valueStart + valueLength) }
    }

    /// The bytes that the fields point into.
    package let storage: [UInt8]
    package let fields: [Field]

    public static let empty = Headers(storage: [], fields: [])

    package init(storage: [UInt8], fields: [Field]) {
        self.storage = storage
        self.fields = fields
    }

    public init(_ pairs: [(String, String)]) {
        var storage: [UInt8] = []
        var fields: [Field] = []
        for (name, value) in pairs {
            let nameStart = storage.count
            storage.append(contentsOf: name.utf8)
            let valueStart = storage.count
            storage.append(contentsOf: value.utf8)
            fields.append(Field(name: nameStart..<valueStart, value: valueStart..<storage.count))
        }
        self.init(storage: storage, fields: fields)
    }

    public var count: Int { fields.count }

    /// The value of the only field of that name; nothing when there is none, or more than one.
    ///
    /// - Parameter name: In lower case.
    public func single(_ name: StaticString) -> ArraySlice<UInt8>? {
        var found: Field?
        for field in fields where matches(field, name) {
            if found != nil { return nil }
            found = field
        }
        return found.map { storage[$0.value] }
    }

    /// How many fields of that name there are.
    public func count(_ name: StaticString) -> Int {
        var count = 0
        for field in fields where matches(field, name) { count += 1 }
        return count
    }

    /// The values of all fields of that name, in order.
    public func all(_ name: StaticString) -> [ArraySlice<UInt8>] {
        fields.filter { matches($0, name) }.map { storage[$0.value] }
    }

    /// The value of the only field of that name as text; nothing when absent, repeated or not UTF-8.
    public func text(_ name: StaticString) -> String? {
        single(name).flatMap { String(validating: $0, as: UTF8.self) }
    }

    package func matches(_ field: Field, _ name: StaticString) -> Bool {
        guard Int(field.nameLength) == name.utf8CodeUnitCount else { return false }
        return storage.withUnsafeBufferPointer { storage in
            for offset in 0..<name.utf8CodeUnitCount {
                if lowercasedASCII(storage[Int(field.nameStart) + offset]) != name.utf8Start[offset] { return false }
            }
            return true
        }
    }
}
