/// Text of a configuration as it may stand in a message: in quotes, short, and free of control characters.
enum Quoted {
    static let bytesMax = 80

    static func text(_ text: String) -> String { "\"\(plain(text))\"" }

    /// The same without quotes.
    static func plain(_ text: String) -> String {
        var shown = ""
        for scalar in text.unicodeScalars {
            if shown.utf8.count >= bytesMax { return shown + "…" }
            switch scalar.properties.generalCategory {
            case .control, .format, .lineSeparator, .paragraphSeparator, .surrogate, .privateUse, .unassigned:
                shown += "\\u{\(String(scalar.value, radix: 16))}"
            default: shown.unicodeScalars.append(scalar)
            }
        }
        return shown
    }
}
