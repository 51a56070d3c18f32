import AuthCore
import Glibc
import HTTPEdge

/// How the open files that the system allows are shared out between the listeners (R-9a).
///
/// Whoever fills one listener with connections must not take the files that another one accepts with, nor those of the store and
/// of the connections to services: then the operator could not even ask what is wrong.
struct FileBudget {
    /// What the system allows, once raised as far as it goes.
    let limit: Int
    private var shares = 5

    init(limit: Int) { self.limit = limit }

    /// For the database and its readers, the event loops, the log, and files that are read anew.
    static let reserve = 64
    /// The least that a server can work with.
    static let limitMin = 128

    /// Raises the limit of this process to the most that it may have.
    static func raised() -> FileBudget {
        var files = rlimit()
        guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &files) == 0 else { return FileBudget(limit: 1_024) }
        files.rlim_cur = files.rlim_max
        // Where it cannot be raised, it is what it was.
        if setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &files) != 0 {
            getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &files)
        }
        return FileBudget(limit: Int(clamping: files.rlim_cur))
    }

    /// Five equal shares: the connections of `auth`, of `gateway`, and from there to services; half a share each for `admin` and
    /// `control`; and one for all connections that are only told to come back later.
    private var share: Int { max(1, (limit - FileBudget.reserve) / shares) }

    /// With one public listener more, `auth_mtls`.
    var withAnotherListener: FileBudget {
        var budget = self
        budget.shares += 1
        return budget
    }

    /// The limits of a public listener.
    var wide: EdgeLimits { limits(connections: share) }

    /// The limits of a listener for operators.
    var narrow: EdgeLimits { limits(connections: share / 2) }

    private func limits(connections: Int) -> EdgeLimits {
        var limits = EdgeLimits()
        limits.connectionsMax = max(1, min(limits.connectionsMax, connections))
        limits.refusalsMax = min(limits.refusalsMax, share / 4)
        return limits
    }
}
