package import AuthCore

/// A password as somebody typed it, normalised here and nowhere else (PW-04).
///
/// The normal form is the OpaqueString profile of RFC 8265 §4.2: every space of Unicode becomes U+0020, then NFC. Nothing is trimmed,
/// folded or cut. What is longer than `bytesMax` is never looked at again: it is refused when a password is set and wrong when one
/// is checked, at the price of an ordinary one (PW-02).
package struct Password: Sendable {
    /// The most bytes of UTF-8 that are taken, before and after the normal form.
    package static let bytesMax = 1_024

    /// The bytes that are hashed.
    let normal: Secret<[UInt8]>
    /// The bytes as they came, for hashes that another system made without a normal form; nothing when they are the same.
    let unlikeNormal: Secret<[UInt8]>?
    package let isTooLong: Bool

    package init(_ typed: Secret<String>) {
        let text = typed.exposed
        guard text.utf8.count <= Password.bytesMax else {
            self = Password.tooLong
            return
        }
        if Normalization.isASCII(text) {
            self.init(normal: Array(text.utf8), unlikeNormal: nil, isTooLong: false)
            return
        }
        var spaced = String.UnicodeScalarView()
        for scalar in text.unicodeScalars {
            spaced.append(scalar.properties.generalCategory == .spaceSeparator ? " " : scalar)
        }
        let composed = Array(Normalization.composed(String(spaced)).utf8)
        guard composed.count <= Password.bytesMax else {
            self = Password.tooLong
            return
        }
        let raw = Array(text.utf8)
        self.init(normal: composed, unlikeNormal: raw == composed ? nil : raw, isTooLong: false)
    }

    private static let tooLong = Password(normal: [], unlikeNormal: nil, isTooLong: true)

    private init(normal: [UInt8], unlikeNormal: [UInt8]?, isTooLong: Bool) {
        self.normal = Secret(normal)
        self.unlikeNormal = unlikeNormal.map { Secret($0) }
        self.isTooLong = isTooLong
    }
}
