/// Which letters may stand together in a name: the *highly restrictive* level of UTS #39 §5.2, by blocks of Unicode.
///
/// - One script; or Latin with Chinese, Japanese and Korean.
/// - Not Cyrillic or Greek letters alone when every one of them looks like a Latin one (`аррӏе`).
/// - Digits of one kind only.
/// - Hebrew and Arabic begin with a letter and end with a letter, a digit or a mark.
///
/// What looks alike inside one script (`rn` and `m`, `l` and `1`) is not looked at.
enum ScriptMix {
    private enum Script: Hashable {
        case latin, greek, cyrillic, armenian, georgian, cherokee, hebrew, arabic, eastAsian
        /// Each block of 128 code points of the rest counts as a script of its own.
        case other(UInt32)
    }

    private static let blocks: [(ClosedRange<UInt32>, Script)] = [
        (0x0041...0x024F, .latin), (0x0250...0x02AF, .latin), (0x0370...0x03FF, .greek), (0x0400...0x052F, .cyrillic),
        (0x0531...0x058F, .armenian), (0x0591...0x05FF, .hebrew), (0x0600...0x06FF, .arabic), (0x0750...0x077F, .arabic),
        (0x0870...0x08FF, .arabic), (0x10A0...0x10FF, .georgian), (0x1100...0x11FF, .eastAsian), (0x13A0...0x13FF, .cherokee),
        (0x1C80...0x1C8F, .cyrillic), (0x1C90...0x1CBF, .georgian), (0x1D00...0x1DBF, .latin), (0x1E00...0x1EFF, .latin),
        (0x1F00...0x1FFF, .greek), (0x2C60...0x2C7F, .latin), (0x2D00...0x2D2F, .georgian), (0x2DE0...0x2DFF, .cyrillic),
        (0x2E80...0x4DBF, .eastAsian), (0x4E00...0x9FFF, .eastAsian), (0xA640...0xA69F, .cyrillic), (0xA720...0xA7FF, .latin),
        (0xA960...0xA97F, .eastAsian), (0xAB30...0xAB6F, .latin), (0xAB70...0xABBF, .cherokee), (0xAC00...0xD7FF, .eastAsian),
        (0xF900...0xFAFF, .eastAsian), (0xFB1D...0xFB4F, .hebrew), (0xFB50...0xFDFF, .arabic), (0xFE70...0xFEFF, .arabic),
        (0x20000...0x3FFFF, .eastAsian),
    ]

    /// Small letters of Cyrillic and Greek that look like Latin ones in a common typeface.
    private static let latinLookalikes = Set("асԁеһіјӏорԛѕԝхуъьҽпԍνορυχγικ".unicodeScalars)

    /// - Parameter text: In small letters and NFC.
    static func isPlausible(_ text: String) -> Bool {
        var scripts = Set<Script>()
        var digitZeros = Set<UInt32>()
        var onlyLookalikes = true
        for scalar in text.unicodeScalars {
            switch scalar.properties.generalCategory {
            case .decimalNumber:
                digitZeros.insert(scalar.value - UInt32(clamping: Int(scalar.properties.numericValue ?? 0)))
            case .uppercaseLetter, .lowercaseLetter, .otherLetter, .modifierLetter:
                scripts.insert(script(of: scalar))
                if !latinLookalikes.contains(scalar) { onlyLookalikes = false }
            default: break
            }
        }
        guard digitZeros.count <= 1, !scripts.isEmpty || digitZeros.count == 1 else { return false }
        if onlyLookalikes, scripts == [.cyrillic] || scripts == [.greek] { return false }
        if scripts.count > 1, scripts != [.latin, .eastAsian] { return false }
        return isOrdered(text, scripts)
    }

    private static func script(of letter: Unicode.Scalar) -> Script {
        for (range, script) in blocks where range ~= letter.value { return script }
        return .other(letter.value >> 7)
    }

    private static func isOrdered(_ text: String, _ scripts: Set<Script>) -> Bool {
        guard scripts.contains(.hebrew) || scripts.contains(.arabic) else { return true }
        guard let first = text.unicodeScalars.first, let last = text.unicodeScalars.last else { return true }
        return first.properties.isAlphabetic && (last.value >= 0x80 || (0x30...0x39) ~= last.value)
    }
}
