#if Faults
#if canImport(Glibc)
internal import Glibc
#endif
internal import Synchronization

/// Where the fault tests kill the process: `GATEHOUSE_FAILPOINT=name:n` kills it with SIGKILL at the n-th passing.
private final class ArmedFailpoint: Sendable {
    let name: String
    private let left: Mutex<Int>

    init?() {
        guard let setting = getenv("GATEHOUSE_FAILPOINT") else { return nil }
        let parts = String(cString: setting).split(separator: ":")
        guard parts.count == 2, let count = Int(parts[1]) else { return nil }
        name = String(parts[0])
        left = Mutex(count)
    }

    func pass() {
        let isLast = left.withLock { left in
            left -= 1
            return left == 0
        }
        if isLast { kill(getpid(), SIGKILL) }
    }

    static let armed = ArmedFailpoint()
}

/// A named place where a test build can be killed. Nothing in a release.
public func failpoint(_ name: String) {
    if let armed = ArmedFailpoint.armed, armed.name == name { armed.pass() }
}
#else
/// A named place where a test build can be killed. Nothing in a release.
@inlinable
@inline(__always)
public func failpoint(_ name: StaticString) {}
#endif
