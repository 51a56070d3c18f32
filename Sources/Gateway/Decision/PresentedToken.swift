internal import AuthCore

/// What the `Authorization` header of a request says (RFC 6750 §2.1, RFC 9449 §7.1). A token in the query or the body is never looked
/// for.
enum PresentedToken {
    case none
    /// Another scheme than Bearer and DPoP: no credential of a kind that is taken here.
    case otherScheme
    /// More than one header: which one a service would believe is a guess (CVE-2025-64527).
    case repeated
    /// The scheme alone.
    case missingToken
    /// Under Bearer: the token's place in the storage of the headers.
    case bearer(Range<Int>)
    /// Under DPoP, which goes with a proof.
    case dpop(Range<Int>)

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
        self = headers.storage.withUnsafeBufferPointer { PresentedToken($0, found.value) }
    }

    /// The scheme, in any case (RFC 9110 §11.1), one space or more, and what follows.
    private init(_ storage: UnsafeBufferPointer<UInt8>, _ value: Range<Int>) {
        var index = value.lowerBound
        while index < value.upperBound, storage[index] != 0x20, storage[index] != 0x09 { index += 1 }
        let scheme = value.lowerBound..<index
        let isBearer = PresentedToken.spells(storage, scheme, "bearer")
        guard isBearer || PresentedToken.spells(storage, scheme, "dpop") else {
            self = .otherScheme
            return
        }
        while index < value.upperBound, storage[index] == 0x20 { index += 1 }
        guard index < value.upperBound else {
            self = .missingToken
            return
        }
        // What the bytes are is the verifier's to say: it takes nothing but the alphabet of a compact JWS.
        self = isBearer ? .bearer(index..<value.upperBound) : .dpop(index..<value.upperBound)
    }

    private static func spells(_ storage: UnsafeBufferPointer<UInt8>, _ range: Range<Int>, _ scheme: StaticString) -> Bool {
        guard range.count == scheme.utf8CodeUnitCount else { return false }
        for offset in 0..<range.count where lowercasedASCII(storage[range.lowerBound + offset]) != scheme.utf8Start[offset] { return false }
        return true
    }
}
