#if canImport(Glibc)
internal import Glibc
#elseif canImport(Musl)
internal import Musl
#else
internal import Darwin
#endif

/// The only way to get the time or randomness below the composition root.
///
/// Both come in as parameters, so that a test chooses them and a failure is a seed that anyone can replay.
public struct Environment: Sendable {
    /// The wall clock.
    public var now: @Sendable () -> Instant
    /// The clock for ages and time-outs.
    public var uptime: @Sendable () -> Uptime
    /// `count` unpredictable bytes.
    public var randomBytes: @Sendable (_ count: Int) -> [UInt8]

    public init(
        now: @escaping @Sendable () -> Instant,
        uptime: @escaping @Sendable () -> Uptime,
        randomBytes: @escaping @Sendable (_ count: Int) -> [UInt8]
    ) {
        self.now = now
        self.uptime = uptime
        self.randomBytes = randomBytes
    }

    /// The machine's own clocks and the kernel's generator. Named only by the composition root.
    public static let live = Environment(
        now: {
            let time = read(CLOCK_REALTIME)
            return Instant(milliseconds: Int64(time.tv_sec) * 1_000 + Int64(time.tv_nsec) / 1_000_000)
        },
        uptime: {
            #if os(Linux)
            let time = read(CLOCK_BOOTTIME)
            #else
            let time = read(CLOCK_MONOTONIC)
            #endif
            return Uptime(nanoseconds: UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec))
        },
        randomBytes: { count in
            var generator = SystemRandomNumberGenerator()
            var bytes = [UInt8]()
            bytes.reserveCapacity(count + 7)
            while bytes.count < count {
                withUnsafeBytes(of: generator.next() as UInt64) { bytes.append(contentsOf: $0) }
            }
            bytes.removeLast(bytes.count - count)
            return bytes
        }
    )

    private static func read(_ clock: clockid_t) -> timespec {
        var time = timespec()
        clock_gettime(clock, &time)
        return time
    }
}
