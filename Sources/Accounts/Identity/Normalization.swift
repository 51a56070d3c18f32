// The only file of this target that needs Foundation: the standard library has no public call for the normal forms.
internal import Foundation

/// The normal forms of Unicode (UAX #15). Text in ASCII, which is nearly all of it, never reaches Foundation.
enum Normalization {
    /// NFC.
    static func composed(_ text: String) -> String {
        isASCII(text) ? text : text.precomposedStringWithCanonicalMapping
    }

    /// NFKC.
    static func compatible(_ text: String) -> String {
        isASCII(text) ? text : text.precomposedStringWithCompatibilityMapping
    }

    static func isASCII(_ text: String) -> Bool { text.utf8.allSatisfy { $0 < 0x80 } }
}
