package import AuthCore

/// The Date field, made once a second: `date: Sun, 06 Nov 1994 08:49:37 GMT` and CRLF (RFC 9110 §5.6.7).
package struct DateText {
    package private(set) var line: [UInt8] = []
    private var seconds = Int64.min

    package static let lineBytes = 37

    package init() {}

    package mutating func refresh(_ now: Instant) {
        let seconds = now.seconds
        if seconds == self.seconds { return }
        self.seconds = seconds
        line = Array("date: \(DateText.text(seconds: seconds))\r\n".utf8)
    }

    /// - Parameter seconds: Since 1970; brought into the years 0–9999, which the format can hold.
    package static func text(seconds: Int64) -> String {
        let seconds = min(max(seconds, -62_167_219_200), 253_402_300_799)
        let day = seconds >= 0 ? seconds / 86_400 : -((86_399 - seconds) / 86_400)
        let rest = seconds - day * 86_400
        // Days to civil date, counted in eras of 400 years from 0000-03-01.
        let shifted = day + 719_468
        let era = (shifted >= 0 ? shifted : shifted - 146_096) / 146_097
        let dayOfEra = shifted - era * 146_097
        let yearOfEra = (dayOfEra - dayOfEra / 1_460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let shiftedMonth = (5 * dayOfYear + 2) / 153
        let dayOfMonth = dayOfYear - (153 * shiftedMonth + 2) / 5 + 1
        let month = shiftedMonth < 10 ? shiftedMonth + 3 : shiftedMonth - 9
        let year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0)
        let weekday = ((day + 4) % 7 + 7) % 7
        let days = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"]
        let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
        let time = "\(padded(rest / 3_600, 2)):\(padded(rest / 60 % 60, 2)):\(padded(rest % 60, 2))"
        return "\(days[Int(weekday)]), \(padded(dayOfMonth, 2)) \(months[Int(month) - 1]) \(padded(year, 4)) \(time) GMT"
    }

    private static func padded(_ number: Int64, _ width: Int) -> String {
        let text = String(number)
        return String(repeating: "0", count: max(width - text.utf8.count, 0)) + text
    }
}
