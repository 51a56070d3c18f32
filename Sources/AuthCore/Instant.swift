/// A point in time on the wall clock, in whole milliseconds since 1970-01-01T00:00:00Z.
///
/// Arithmetic saturates, so no attacker-chosen number can trap (SECURITY.md, "numbers trap").
public struct Instant: Hashable, Comparable, Sendable {
    public let milliseconds: Int64

    public init(milliseconds: Int64) { self.milliseconds = milliseconds }

    public init(seconds: Int64) {
        let (product, overflow) = seconds.multipliedReportingOverflow(by: 1_000)
        self.milliseconds = overflow ? (seconds < 0 ? .min : .max) : product
    }

    /// Whole seconds, rounded down: the NumericDate of RFC 7519 §2.
    public var seconds: Int64 {
        let quotient = milliseconds / 1_000
        return milliseconds % 1_000 < 0 ? quotient - 1 : quotient
    }

    public static func < (left: Instant, right: Instant) -> Bool { left.milliseconds < right.milliseconds }

    public static func + (left: Instant, right: Duration) -> Instant {
        Instant(milliseconds: left.milliseconds.addingSaturated(right.wholeMilliseconds))
    }

    public static func - (left: Instant, right: Duration) -> Instant {
        Instant(milliseconds: left.milliseconds.subtractingSaturated(right.wholeMilliseconds))
    }

    public static func - (left: Instant, right: Instant) -> Duration {
        .milliseconds(left.milliseconds.subtractingSaturated(right.milliseconds))
    }
}

/// A point on a clock that never goes back and runs while the machine sleeps (CLOCK_BOOTTIME), in nanoseconds.
///
/// Ages and time-outs are measured with it, never with `Instant`, because the wall clock steps.
public struct Uptime: Hashable, Comparable, Sendable {
    public let nanoseconds: UInt64

    public init(nanoseconds: UInt64) { self.nanoseconds = nanoseconds }

    public static func < (left: Uptime, right: Uptime) -> Bool { left.nanoseconds < right.nanoseconds }

    /// The time from `right` to `left`; zero when `right` is the later one.
    public static func - (left: Uptime, right: Uptime) -> Duration {
        left.nanoseconds <= right.nanoseconds ? .zero : .nanoseconds(Int64(clamping: left.nanoseconds - right.nanoseconds))
    }
}

extension Duration {
    /// Whole milliseconds, rounded towards zero, saturating.
    public var wholeMilliseconds: Int64 {
        let (seconds, attoseconds) = components
        let (product, overflow) = seconds.multipliedReportingOverflow(by: 1_000)
        if overflow { return seconds < 0 ? .min : .max }
        return product.addingSaturated(attoseconds / 1_000_000_000_000_000)
    }

    /// Whole seconds, rounded towards zero.
    public var wholeSeconds: Int64 { components.seconds }
}

extension Int64 {
    public func addingSaturated(_ other: Int64) -> Int64 {
        let (sum, overflow) = addingReportingOverflow(other)
        return overflow ? (other < 0 ? .min : .max) : sum
    }

    public func subtractingSaturated(_ other: Int64) -> Int64 {
        let (difference, overflow) = subtractingReportingOverflow(other)
        return overflow ? (other < 0 ? .max : .min) : difference
    }
}
