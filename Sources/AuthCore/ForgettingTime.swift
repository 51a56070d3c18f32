/// The time by which something that is kept until a time may be forgotten: the wall clock, but not ahead of the time that has passed.
///
/// A wall clock that jumps ahead and back again must not make us forget in between what was revoked: the tokens are as
/// good as before. So a jump ahead counts only once it has lasted longer than any token lives. Forgetting late costs a little memory.
public struct ForgettingTime: Sendable {
    /// What one clock may gain on the other between two looks: slewing, and the grain of both.
    public static let gainMax = Duration.seconds(2)
    /// Longer than any token lives, however its issuer is set.
    public static let doubtTime = Duration.seconds(2 * 86_400)

    private var last: (now: Instant, uptime: Uptime)?
    private var aheadSince: Uptime?

    public init() {}

    /// - Parameters:
    ///   - now: The wall clock.
    ///   - uptime: The clock that never jumps.
    public mutating func time(now: Instant, uptime: Uptime) -> Instant {
        if let last {
            let passed = last.now + (uptime - last.uptime)
            if now > passed + ForgettingTime.gainMax {
                let since = aheadSince ?? uptime
                aheadSince = since
                if uptime - since <= ForgettingTime.doubtTime { return passed }
            }
        }
        last = (now, uptime)
        aheadSince = nil
        return now
    }
}
