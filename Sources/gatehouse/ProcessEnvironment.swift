import Glibc
import NIOCore

/// The environment variables of this process.
enum ProcessEnvironment {
    /// The name of this machine, for people.
    static var hostName: String {
        var name = [CChar](repeating: 0, count: 256)
        guard gethostname(&name, name.count - 1) == 0 else { return "unknown" }
        return String(decoding: name.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    /// The processors that this process may use: its affinity (`taskset`, a container's `cpuset`) and the quota of its control group.
    ///
    /// Two event loops that share one processor keep each other waiting for whole time slices, milliseconds each.
    static var processorCount: Int {
        // Where there is no such file, the other limit stands.
        let status = (try? Files.read("/proc/self/status")) ?? []
        let prefix = "Cpus_allowed_list:"
        let line = String(decoding: status, as: UTF8.self).split(separator: "\n").first { $0.hasPrefix(prefix) }
        return max(1, min(System.coreCount, line.flatMap { count(inList: $0.dropFirst(prefix.count)) } ?? .max))
    }

    /// How many numbers a list as `0-3,8` has (cpuset(7), "List Format"); nothing when it is none.
    static func count(inList list: some StringProtocol) -> Int? {
        var count = 0
        for range in list.utf8.filter({ $0 != 0x20 && $0 != 0x09 }).split(separator: UInt8(ascii: ","), omittingEmptySubsequences: false) {
            let ends = range.split(separator: UInt8(ascii: "-"), omittingEmptySubsequences: false).map {
                Int(String(decoding: $0, as: UTF8.self))
            }
            guard let first = ends.first ?? nil, let last = ends.last ?? nil, ends.count <= 2, (0...last).contains(first), last < 1 << 20
            else {
                return nil
            }
            count += last - first + 1
        }
        return count
    }

    static let all: [String: String] = {
        var variables: [String: String] = [:]
        var entry = environ
        while let pointer = entry.pointee {
            let text = String(cString: pointer)
            if let equals = text.firstIndex(of: "=") { variables[String(text[..<equals])] = String(text[text.index(after: equals)...]) }
            entry += 1
        }
        return variables
    }()
}
