import AuthCore
import Foundation
import Testing

@Suite("The machine's clocks")
struct EnvironmentTests {
    @Test("uptime is the clock that runs while the machine sleeps, in nanoseconds; now is the wall clock (R-7)")
    func clocks() {
        var time = timespec()
        clock_gettime(CLOCK_BOOTTIME, &time)
        let before = UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
        let uptime = Environment.live.uptime()
        clock_gettime(CLOCK_BOOTTIME, &time)
        let after = UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
        #expect((before...after).contains(uptime.nanoseconds))
        #expect(abs(Double(Environment.live.now().milliseconds) / 1_000 - Date().timeIntervalSince1970) < 5)
    }
}
