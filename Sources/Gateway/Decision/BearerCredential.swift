internal import AuthCore

/// What the `Authorization` header of a request says (RFC 6750 §2.1). A token in the query or the body is never looked for.
enum BearerCredential {
    case none
    /// Another scheme than Bearer: no credential of a kind that is taken here.
    case otherScheme
    /// More than one header: which one a service would believe is a guess (CVE-2025-64527).
    case repeated
    /// The scheme alone.
    case missingToken
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

    /// `Bearer`, in any case (RFC 9110 §11.1), one space or more, and what follows.
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
        // What the bytes are is the verifier's to say: it takes nothing but the alphabet of a compact JWS.
        self = index < value.upperBound ? .token(index..<value.upperBound) : .missingToken
    }
}
