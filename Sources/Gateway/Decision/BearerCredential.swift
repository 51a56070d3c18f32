internal import AuthCore

/// What the `Authorization` header of a request says (RFC 6750 §2.1). A token in the query or the body is never looked for.
enum BearerCredential {
    case none
    /// Another scheme than Bearer: no credential of a kind that is taken here.
    case otherScheme
    /// More than one header: which one a service would believe is a guess (CVE-2025-64527).
    case repeated
    /// The scheme without a token, or something that is no token68.
    case malformed
    /// The token's place in the storage of the headers.
    case token(Range<Int>)

    init(_ headers: Headers) {
        var found: Headers.Field?
        for field in headers.fields where field.nameLength == 13 && headers.matches(field, "authorization") {
            if found != nil {
                self = .repeated
                return
            }
            found = field
        }
        guard let found else {
            self = .none
            return
        }
        self = headers.storage.withUnsafeBufferPointer { BearerCredential($0, found.value) }
    }

    /// `Bearer`, in any case (RFC 9110 §11.1), one space or more, and a token of RFC 6750's alphabet.
    private init(_ storage: UnsafeBufferPointer<UInt8>, _ value: Range<Int>) {
        let scheme: StaticString = "bearer"
        let length = scheme.utf8CodeUnitCount
        var index = value.lowerBound
        while index < value.upperBound, storage[index] != 0x20, storage[index] != 0x09 { index += 1 }
        guard index - value.lowerBound == length else {
            self = .otherScheme
            return
        }
        for offset in 0..<length where lowercasedASCII(storage[value.lowerBound + offset]) != scheme.utf8Start[offset] {
            self = .otherScheme
            return
        }
        while index < value.upperBound, storage[index] == 0x20 { index += 1 }
        guard index < value.upperBound, BearerCredential.isToken(storage, index..<value.upperBound) else {
            self = .malformed
            return
        }
        self = .token(index..<value.upperBound)
    }

    private static func isToken(_ storage: UnsafeBufferPointer<UInt8>, _ range: Range<Int>) -> Bool {
        var end = range.upperBound
        while end > range.lowerBound, storage[end - 1] == UInt8(ascii: "=") { end -= 1 }
        guard end > range.lowerBound else { return false }
        for index in range.lowerBound..<end {
            switch storage[index] {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "0")...UInt8(ascii: "9"): continue
            case UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"), UInt8(ascii: "~"), UInt8(ascii: "+"), UInt8(ascii: "/"): continue
            default: return false
            }
        }
        return true
    }
}
