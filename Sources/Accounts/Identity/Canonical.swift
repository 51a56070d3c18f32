package import AuthCore

/// Why a text is no user name and no e-mail address.
package enum IdentifierRefusal: String, Error, Sendable, Equatable, CaseIterable {
    case empty = "identifier_empty"
    case tooLong = "identifier_too_long"
    /// A control character, a bidirectional control, something invisible, a space, a symbol, or a code point of no meaning.
    case characterForbidden = "identifier_character_forbidden"
    /// Letters of scripts that no language mixes, or only letters that look like Latin ones.
    case confusable = "identifier_confusable"
    /// Not exactly one `@`, a part that is missing, or a local part that is no dot-atom.
    case emailMalformed = "email_malformed"
    case emailDomain = "email_domain_invalid"
}

/// The one form under which an account is found (IN-01, IN-03). It decides who somebody is: whatever counts, compares or stores a
/// user name or an e-mail address uses it, and compares its bytes.
package enum Canonical {
    /// Before and after the canonical form, in bytes of UTF-8.
    package static let usernameBytesMax = 255
    /// RFC 5321 §4.5.3.1.3, without the angle brackets.
    package static let emailBytesMax = 254

    /// The canonical form of a user name, after the UsernameCaseMapped profile of RFC 8265 §3.3:
    ///
    /// 1. spaces at both ends are dropped (pasted and typed on a telephone, they mean nothing);
    /// 2. full-width and half-width forms become the ordinary ones;
    /// 3. every letter becomes a small one, final sigma included (`ς` is `σ` here, so that `ΣΑΣ` and `σας` are one name);
    /// 4. NFC;
    /// 5. allowed are printable ASCII but the space, and letters, digits and marks outside it, as the IdentifierClass of RFC 8264
    ///    §4.2 has it: whatever has a compatibility form (`ﬁ`, `Ⅳ`, `𝐚`), is invisible, a control, a symbol, a space, unassigned
    ///    or private is refused and not replaced;
    /// 6. scripts do not mix, see `ScriptMix`; a name written from right to left begins with a letter and ends with none but a
    ///    letter, a digit or a mark (RFC 5893 §2, in short).
    package static func username(_ text: String) throws(IdentifierRefusal) -> Identifier {
        guard text.utf8.count <= usernameBytesMax else { throw .tooLong }
        let canonical = try letters(trimmed(text))
        guard !canonical.isEmpty else { throw .empty }
        guard canonical.utf8.count <= usernameBytesMax else { throw .tooLong }
        return Identifier(canonical)
    }

    /// The canonical form of an e-mail address.
    ///
    /// Exactly one `@` (so no quoted local part, CVE-2026-40574). The local part is a dot-atom of RFC 5321 §4.1.2 in ASCII, at
    /// most 64 bytes; it is lower-cased here, but mail goes to the address as it was typed. The domain has at least two labels and
    /// no address literal; a label outside ASCII goes through the rules of a user name and becomes an A-label (RFC 5890 §2.3.2.1).
    package static func email(_ text: String) throws(IdentifierRefusal) -> Identifier {
        guard text.utf8.count <= usernameBytesMax else { throw .tooLong }
        let bytes = Array(trimmed(text).utf8)
        guard !bytes.isEmpty else { throw .empty }
        let parts = bytes.split(separator: UInt8(ascii: "@"), omittingEmptySubsequences: false)
        guard parts.count == 2 else { throw .emailMalformed }
        for byte in bytes where byte < 0x21 || byte == 0x7F { throw .characterForbidden }
        let domain = try EmailDomain.canonical(parts[1])
        let atoms = parts[0].split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
        guard (1...64) ~= parts[0].count, atoms.allSatisfy({ !$0.isEmpty && $0.allSatisfy(isAtomText) }) else { throw .emailMalformed }
        let canonical = String(decoding: parts[0].map(lowercasedASCII), as: UTF8.self) + "@" + domain
        guard canonical.utf8.count <= emailBytesMax else { throw .tooLong }
        return Identifier(canonical)
    }

    /// What somebody typed where either is taken: its form as a user name, and as an e-mail address when it is one.
    ///
    /// - Returns: Nothing when it can be neither: there is no such account.
    package static func signInName(_ text: String) -> (username: Identifier, email: Identifier?)? {
        // A refusal only means that it is not of this kind; nothing is lost by dropping the reason.
        let email = try? email(text)
        let username = try? username(text)  // the same
        guard let name = username ?? email else { return nil }
        return (name, email)
    }

    /// Whether a user name may stand beside this e-mail address: a name with an `@` could be somebody else's address, and would
    /// then catch their sign-ins (CVE-2025-24806), so it must be the account's own.
    package static func isUsername(_ username: Identifier, allowedWith email: Identifier?) -> Bool {
        !username.text.utf8.contains(UInt8(ascii: "@")) || username == email
    }

    /// Steps 2 to 6 of `username`.
    static func letters(_ text: Substring) throws(IdentifierRefusal) -> String {
        var mapped = String.UnicodeScalarView()
        for scalar in text.unicodeScalars { mapped.append(contentsOf: widthMapped(scalar)) }
        // Before the forms change anything: what is invisible must not vanish in them.
        for scalar in mapped where !isAllowed(scalar) { throw .characterForbidden }
        let composed = Normalization.composed(lowercased(Normalization.composed(String(mapped))))
        guard Normalization.compatible(composed).isSameBytes(as: composed) else { throw .characterForbidden }
        for scalar in composed.unicodeScalars where !isAllowed(scalar) { throw .characterForbidden }
        if let first = composed.unicodeScalars.first, isMark(first) { throw .characterForbidden }
        guard !Normalization.isASCII(composed) else { return composed }
        guard ScriptMix.isPlausible(composed) else { throw .confusable }
        return composed
    }

    private static func lowercased(_ text: String) -> String {
        var result = String.UnicodeScalarView()
        for scalar in text.unicodeScalars {
            // U+03C2 is the form of U+03C3 at the end of a word.
            result.append(contentsOf: (scalar == "\u{3C2}" ? "\u{3C3}" : scalar.properties.lowercaseMapping).unicodeScalars)
        }
        return String(result)
    }

    /// U+FF01…U+FFEE hold the full-width and half-width forms; elsewhere a compatibility form is not one of width.
    private static func widthMapped(_ scalar: Unicode.Scalar) -> String.UnicodeScalarView {
        guard (0xFF01...0xFFEE) ~= scalar.value else { return String(scalar).unicodeScalars }
        return Normalization.compatible(String(scalar)).unicodeScalars
    }

    /// The IdentifierClass of RFC 8264 §4.2 by general category, without what is not meant to be seen.
    private static func isAllowed(_ scalar: Unicode.Scalar) -> Bool {
        if scalar.value < 0x80 { return (0x21...0x7E) ~= scalar.value }
        if scalar.properties.isDefaultIgnorableCodePoint { return false }
        switch scalar.properties.generalCategory {
        case .uppercaseLetter, .lowercaseLetter, .otherLetter, .modifierLetter, .decimalNumber, .nonspacingMark, .spacingMark: return true
        default: return false
        }
    }

    private static func isMark(_ scalar: Unicode.Scalar) -> Bool {
        scalar.properties.generalCategory == .nonspacingMark || scalar.properties.generalCategory == .spacingMark
    }

    /// Without the spaces (Zs) at both ends. Not without line breaks or tabs: those are refused.
    private static func trimmed(_ text: String) -> Substring {
        let scalars = text.unicodeScalars
        guard let first = scalars.firstIndex(where: { $0.properties.generalCategory != .spaceSeparator }),
            let last = scalars.lastIndex(where: { $0.properties.generalCategory != .spaceSeparator })
        else { return "" }
        return Substring(scalars[first...last])
    }

    /// `atext` of RFC 5322 §3.2.3.
    private static func isAtomText(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "0")...UInt8(ascii: "9"): true
        default: "!#$%&'*+-/=?^_`{|}~".utf8.contains(byte)
        }
    }
}
