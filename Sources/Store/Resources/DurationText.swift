internal import AuthCore

/// The contract's way to write a duration: a whole number and one of `ms s m h d`, as in `10m`.
package enum DurationText {
    private static let units: [(name: String, milliseconds: Int64)] = [
        ("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1),
    ]

    /// Reads digits and a unit, nothing else: no sign, no fraction, no space, no leading zero.
    ///
    /// - Returns: Nothing when the text has another form or the value does not fit 64 bits of milliseconds.
    package static func parse(_ text: some StringProtocol) -> Duration? {
        guard let (count, unit) = NumberText.split(text), let factor = units.first(where: { $0.name.isSameBytes(as: unit) })
        else { return nil }
        let (product, overflow) = count.multipliedReportingOverflow(by: factor.milliseconds)
        return overflow ? nil : .milliseconds(product)
    }

    /// The shortest text that `parse` reads as the same duration; what is below a millisecond is cut off.
    package static func format(_ duration: Duration) -> String {
        let milliseconds = duration.wholeMilliseconds
        if milliseconds == 0 { return "0s" }
        for unit in units where milliseconds % unit.milliseconds == 0 { return "\(milliseconds / unit.milliseconds)\(unit.name)" }
        return "\(milliseconds)ms"
    }
}

/// A whole number in front of a unit.
package enum NumberText {
    /// - Returns: The number and what follows it; nothing without digits, with a leading zero or beyond 64 bits.
    package static func split(_ text: some StringProtocol) -> (count: Int64, unit: String)? {
        let digits = text.utf8.prefix { (0x30...0x39) ~= $0 }
        guard !digits.isEmpty, digits.count == 1 || digits.first != 0x30, let count = Int64(String(decoding: digits, as: UTF8.self))
        else { return nil }
        return (count, String(decoding: text.utf8.dropFirst(digits.count), as: UTF8.self))
    }
}
