/// Why a text is no JSON that Gatehouse reads.
public enum JSONError: String, Error, Sendable, Equatable {
    case syntax
    case invalidUTF8 = "invalid_utf8"
    case duplicateMember = "duplicate_member"
    case tooDeep = "too_deep"
    case tooManyMembers = "too_many_members"
    case tooLarge = "too_large"
    case trailingBytes = "trailing_bytes"
}

/// The one JSON reader that decisions rest on (RFC 8259, RFC 8725 §2.4).
///
/// Stricter than the RFC where leniency has been an attack: names must be unique in each object, UTF-8 must be valid,
/// a lone surrogate escape is refused, no byte order mark, nothing behind the value. Bounded in size, depth and the
/// count of values, so it never recurses or allocates without a limit.
public struct JSONReader {
    public struct Limits: Sendable {
        public var bytesMax: Int
        public var depthMax: Int
        /// Members and elements of the whole text together.
        public var valuesMax: Int

        public init(bytesMax: Int, depthMax: Int, valuesMax: Int) {
            self.bytesMax = bytesMax
            self.depthMax = depthMax
            self.valuesMax = valuesMax
        }

        /// For tokens and request bodies (JW-14).
        public static let standard = Limits(bytesMax: 1_048_576, depthMax: 32, valuesMax: 10_000)
        /// For the header and the claims of one token.
        public static let token = Limits(bytesMax: 16_384, depthMax: 32, valuesMax: 1_000)
    }

    private let input: UnsafeBufferPointer<UInt8>
    private var position = 0
    private var valuesLeft: Int
    private var scratch: [UInt8] = []

    public static func read(_ bytes: [UInt8], limits: Limits = .standard) throws(JSONError) -> JSONValue {
        try bytes.withUnsafeBufferPointer { read($0, limits: limits) }.get()
    }

    public static func read(_ bytes: some Collection<UInt8>, limits: Limits = .standard) throws(JSONError) -> JSONValue {
        // The closures below cannot carry a typed error, hence the detour over Result.
        let result =
            bytes.withContiguousStorageIfAvailable { read($0, limits: limits) }
            ?? Array(bytes).withUnsafeBufferPointer { read($0, limits: limits) }
        return try result.get()
    }

    public static func read(_ text: String, limits: Limits = .standard) throws(JSONError) -> JSONValue {
        var copy = text
        return try copy.withUTF8 { read($0, limits: limits) }.get()
    }

    private static func read(_ input: UnsafeBufferPointer<UInt8>, limits: Limits) -> Result<JSONValue, JSONError> {
        guard input.count <= limits.bytesMax else { return .failure(.tooLarge) }
        var reader = JSONReader(input: input, valuesLeft: limits.valuesMax)
        return Result { () throws(JSONError) in
            reader.skipSpace()
            let value = try reader.value(depthLeft: limits.depthMax)
            reader.skipSpace()
            if reader.position != input.count { throw .trailingBytes }
            return value
        }
    }

    private init(input: UnsafeBufferPointer<UInt8>, valuesLeft: Int) {
        self.input = input
        self.valuesLeft = valuesLeft
    }

    private var next: UInt8? { position < input.count ? input[position] : nil }

    private mutating func skipSpace() {
        while let byte = next, byte == 0x20 || byte == 0x0A || byte == 0x0D || byte == 0x09 { position += 1 }
    }

    private mutating func take(_ byte: UInt8) -> Bool {
        guard next == byte else { return false }
        position += 1
        return true
    }

    private mutating func value(depthLeft: Int) throws(JSONError) -> JSONValue {
        valuesLeft -= 1
        if valuesLeft < 0 { throw .tooManyMembers }
        guard let first = next else { throw .syntax }
        switch first {
        case UInt8(ascii: "{"): return .object(try object(depthLeft: depthLeft))
        case UInt8(ascii: "["): return .array(try array(depthLeft: depthLeft))
        case UInt8(ascii: "\""): return .string(try string())
        case UInt8(ascii: "t"): return try literal("true", .bool(true))
        case UInt8(ascii: "f"): return try literal("false", .bool(false))
        case UInt8(ascii: "n"): return try literal("null", .null)
        case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"): return .number(try number())
        default: throw .syntax
        }
    }

    private mutating func literal(_ text: StaticString, _ value: JSONValue) throws(JSONError) -> JSONValue {
        let end = position + text.utf8CodeUnitCount
        guard end <= input.count else { throw .syntax }
        for offset in 0..<text.utf8CodeUnitCount where input[position + offset] != text.utf8Start[offset] { throw .syntax }
        position = end
        return value
    }

    private mutating func object(depthLeft: Int) throws(JSONError) -> JSONObject {
        if depthLeft <= 0 { throw .tooDeep }
        position += 1
        var members: [(name: String, value: JSONValue)] = []
        var names = Set<Identifier>()
        skipSpace()
        if take(UInt8(ascii: "}")) { return JSONObject() }
        members.reserveCapacity(16)
        var bits: UInt64 = 0
        while true {
            guard next == UInt8(ascii: "\"") else { throw .syntax }
            let name = try string()
            // Few members are compared in place, many through a set: neither is quadratic.
            if members.count < 16 {
                // One bit for each name seen: an object's names are mostly told apart by it, and compared only when the bit is taken.
                let bit = JSONReader.bit(of: name)
                if bits & bit != 0 {
                    // By index: a loop over the members would retain each name and value.
                    for index in members.indices where members[index].name.isSameBytes(as: name) { throw .duplicateMember }
                }
                bits |= bit
            } else {
                if names.isEmpty { for member in members { names.insert(Identifier(member.name)) } }
                if !names.insert(Identifier(name)).inserted { throw .duplicateMember }
            }
            skipSpace()
            guard take(UInt8(ascii: ":")) else { throw .syntax }
            skipSpace()
            members.append((name, try value(depthLeft: depthLeft - 1)))
            skipSpace()
            if take(UInt8(ascii: ",")) {
                skipSpace()
                continue
            }
            guard take(UInt8(ascii: "}")) else { throw .syntax }
            return JSONObject(members)
        }
    }

    private static func bit(of name: String) -> UInt64 {
        var hash: UInt64 = 0
        for byte in name.utf8 { hash = hash &* 31 &+ UInt64(byte) }
        return 1 << ((hash ^ hash >> 6) & 63)
    }

    private mutating func array(depthLeft: Int) throws(JSONError) -> [JSONValue] {
        if depthLeft <= 0 { throw .tooDeep }
        position += 1
        var elements: [JSONValue] = []
        skipSpace()
        if take(UInt8(ascii: "]")) { return [] }
        while true {
            elements.append(try value(depthLeft: depthLeft - 1))
            skipSpace()
            if take(UInt8(ascii: ",")) {
                skipSpace()
                continue
            }
            guard take(UInt8(ascii: "]")) else { throw .syntax }
            return elements
        }
    }

    private mutating func number() throws(JSONError) -> JSONNumber {
        let start = position
        var isInteger = true
        _ = take(UInt8(ascii: "-"))
        if !take(UInt8(ascii: "0")) { try digits() }
        if take(UInt8(ascii: ".")) {
            isInteger = false
            try digits()
        }
        if take(UInt8(ascii: "e")) || take(UInt8(ascii: "E")) {
            isInteger = false
            if !take(UInt8(ascii: "+")) { _ = take(UInt8(ascii: "-")) }
            try digits()
        }
        let text = String(decoding: UnsafeBufferPointer(rebasing: input[start..<position]), as: UTF8.self)
        return JSONNumber(checked: text, isInteger: isInteger)
    }

    private mutating func digits() throws(JSONError) {
        let start = position
        while let byte = next, (UInt8(ascii: "0")...UInt8(ascii: "9")) ~= byte { position += 1 }
        if position == start { throw .syntax }
    }

    private mutating func string() throws(JSONError) -> String {
        position += 1
        let start = position
        var seen: UInt8 = 0
        while position < input.count {
            let byte = input[position]
            if byte == UInt8(ascii: "\"") {
                let slice = UnsafeBufferPointer(rebasing: input[start..<position])
                position += 1
                // ASCII is UTF-8 as it stands; validating costs several times as much.
                if seen < 0x80 { return String(decoding: slice, as: UTF8.self) }
                guard let text = String(validating: slice, as: UTF8.self) else { throw .invalidUTF8 }
                return text
            }
            seen |= byte
            if byte == UInt8(ascii: "\\") { return try escapedString(from: start) }
            if byte < 0x20 { throw .syntax }
            position += 1
        }
        throw .syntax
    }

    /// The slow path, from the first backslash on.
    private mutating func escapedString(from start: Int) throws(JSONError) -> String {
        scratch.removeAll(keepingCapacity: true)
        scratch.append(contentsOf: UnsafeBufferPointer(rebasing: input[start..<position]))
        while let byte = next {
            position += 1
            switch byte {
            case UInt8(ascii: "\""):
                guard let text = String(validating: scratch, as: UTF8.self) else { throw .invalidUTF8 }
                return text
            case UInt8(ascii: "\\"): try escape()
            case 0..<0x20: throw .syntax
            default: scratch.append(byte)
            }
        }
        throw .syntax
    }

    private mutating func escape() throws(JSONError) {
        guard let kind = next else { throw .syntax }
        position += 1
        switch kind {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): scratch.append(kind)
        case UInt8(ascii: "b"): scratch.append(0x08)
        case UInt8(ascii: "f"): scratch.append(0x0C)
        case UInt8(ascii: "n"): scratch.append(0x0A)
        case UInt8(ascii: "r"): scratch.append(0x0D)
        case UInt8(ascii: "t"): scratch.append(0x09)
        case UInt8(ascii: "u"):
            var unit = try codeUnit()
            if (0xD800..<0xDC00) ~= unit {
                guard take(UInt8(ascii: "\\")), take(UInt8(ascii: "u")) else { throw .invalidUTF8 }
                let low = try codeUnit()
                guard (0xDC00..<0xE000) ~= low else { throw .invalidUTF8 }
                unit = 0x10000 + ((unit - 0xD800) << 10) + (low - 0xDC00)
            }
            guard let scalar = Unicode.Scalar(unit) else { throw .invalidUTF8 }
            scratch.append(contentsOf: UTF8.encode(scalar)!)  // a scalar always has an encoding
        default: throw .syntax
        }
    }

    private mutating func codeUnit() throws(JSONError) -> UInt32 {
        var unit: UInt32 = 0
        for _ in 0..<4 {
            guard let byte = next, let digit = hexDigit(byte) else { throw .syntax }
            unit = unit << 4 | UInt32(digit)
            position += 1
        }
        return unit
    }
}

/// The value of one hexadecimal digit in ASCII.
public func hexDigit(_ byte: UInt8) -> UInt8? {
    switch byte {
    case UInt8(ascii: "0")...UInt8(ascii: "9"): byte - UInt8(ascii: "0")
    case UInt8(ascii: "a")...UInt8(ascii: "f"): byte - UInt8(ascii: "a") + 10
    case UInt8(ascii: "A")...UInt8(ascii: "F"): byte - UInt8(ascii: "A") + 10
    default: nil
    }
}
