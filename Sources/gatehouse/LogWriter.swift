import AuthCore
import Dispatch
import Glibc
import Synchronization

/// Writes log lines to standard error: one JSON object a line, or one line for people. Text of strangers is escaped in
/// both, so that one event is always one line.
enum LogWriter {
    static func make(isForPeople: Bool, level: Log.Level, environment: Environment) -> Log {
        let sink = sink
        return Log(minimum: level) { level, event, fields in
            var line = isForPeople ? people(level, event, fields, environment.now()) : json(level, event, fields, environment.now())
            line.append(UInt8(ascii: "\n"))
            sink.add(line)
        }
    }

    private static func json(_ level: Log.Level, _ event: StaticString, _ fields: [Log.Field], _ now: Instant) -> [UInt8] {
        var writer = JSONWriter()
        writer.object {
            $0.member("time", timestamp(now))
            $0.member("level", word(level))
            $0.member("event", "\(event)")
            for field in fields { $0.member(field.name, field.value) }
        }
        return writer.bytes
    }

    private static func people(_ level: Log.Level, _ event: StaticString, _ fields: [Log.Field], _ now: Instant) -> [UInt8] {
        var line = "\(timestamp(now)) \(word(level).uppercased()) \(event)"
        for field in fields {
            // Quoted as JSON when it is more than a word: a line break cannot begin a line of its own.
            let isWord = !field.value.isEmpty && field.value.utf8.allSatisfy { (0x21...0x7E) ~= $0 && $0 != UInt8(ascii: "\"") }
            line += " \(field.name)=" + (isWord ? field.value : String(decoding: JSONValue.string(field.value).encoded, as: UTF8.self))
        }
        return Array(line.utf8)
    }

    private static func word(_ level: Log.Level) -> String {
        switch level {
        case .debug: "debug"
        case .info: "info"
        case .warning: "warning"
        case .error: "error"
        }
    }

    /// RFC 3339 in UTC, with milliseconds.
    static func timestamp(_ now: Instant) -> String {
        var seconds = time_t(now.seconds)
        var parts = tm()
        gmtime_r(&seconds, &parts)
        // Each line has one: written byte by byte, without a text for each part.
        var bytes: [UInt8] = []
        bytes.reserveCapacity(24)
        func put(_ number: Int, _ width: Int, _ mark: StaticString) {
            var divisor = width == 4 ? 1_000 : width == 3 ? 100 : 10
            while divisor > 0 {
                bytes.append(UInt8(ascii: "0") + UInt8(truncatingIfNeeded: number / divisor % 10))
                divisor /= 10
            }
            bytes.append(mark.utf8Start.pointee)
        }
        put(Int(parts.tm_year) + 1_900, 4, "-")
        put(Int(parts.tm_mon) + 1, 2, "-")
        put(Int(parts.tm_mday), 2, "T")
        put(Int(parts.tm_hour), 2, ":")
        put(Int(parts.tm_min), 2, ":")
        put(Int(parts.tm_sec), 2, ".")
        put(Int(now.milliseconds - now.seconds * 1_000), 3, "Z")
        return String(decoding: bytes, as: UTF8.self)
    }

    /// Waits until what was said is written, a second at the most.
    static func flush() { sink.flush() }

    /// Lines that were dropped since the start, because whoever reads the log is too slow.
    static var dropped: Int { sink.dropped }

    private static let sink = LogSink()
}

/// Takes lines and writes them on a thread of its own: whoever reads our log slowly, or not at all, stops nobody else.
private final class LogSink: Sendable {
    /// The most that waits, in bytes; lines beyond it are dropped and counted.
    static let bytesMax = 1_048_576

    /// So soon after lines were written the next ones wait for others: under load a thread that is woken for each line costs more than the
    /// lines. Whoever reads a quiet log has each line at once.
    private static let pauseNanoseconds: UInt64 = 2_000_000

    private struct Waiting {
        var bytes: [UInt8] = []
        /// Since the start, and how many of them the log itself was told.
        var dropped = 0
        var droppedTold = 0
        var isWriting = false
        /// When there was nothing left to write, on the clock of `DispatchTime`.
        var restsSince: UInt64 = 0
    }

    private let waiting = Mutex(Waiting())
    private let queue = DispatchQueue(label: "gatehouse.log")

    func add(_ line: [UInt8]) {
        let (starts, restsSince) = waiting.withLock { waiting in
            if waiting.bytes.count + line.count > LogSink.bytesMax {
                waiting.dropped += 1
                return (false, waiting.restsSince)
            }
            waiting.bytes.append(contentsOf: line)
            let starts = !waiting.isWriting
            waiting.isWriting = true
            return (starts, waiting.restsSince)
        }
        guard starts else { return }
        let now = DispatchTime.now()
        if now.uptimeNanoseconds &- restsSince < LogSink.pauseNanoseconds {
            queue.asyncAfter(deadline: now + .nanoseconds(Int(LogSink.pauseNanoseconds))) { self.drain() }
        } else {
            queue.async { self.drain() }
        }
    }

    var dropped: Int { waiting.withLock { $0.dropped } }

    func flush() {
        let done = DispatchSemaphore(value: 0)
        queue.async {
            self.drain()
            done.signal()
        }
        _ = done.wait(timeout: .now() + 1)
    }

    private func drain() {
        while true {
            let (bytes, dropped): ([UInt8], Int) = waiting.withLock { waiting in
                var bytes = waiting.bytes
                waiting.bytes = []
                let untold = waiting.dropped - waiting.droppedTold
                if untold > 0 {
                    bytes += Array("{\"level\":\"warning\",\"event\":\"log_lines_dropped\",\"count\":\"\(untold)\"}\n".utf8)
                }
                if bytes.isEmpty {
                    waiting.isWriting = false
                    waiting.restsSince = DispatchTime.now().uptimeNanoseconds
                }
                return (bytes, waiting.dropped)
            }
            if bytes.isEmpty { return }
            let rest = write(bytes)
            let goesOn = waiting.withLock { waiting in
                if rest.isEmpty {
                    waiting.droppedTold = dropped
                    return true
                }
                // The line about dropped ones is none of them. The next line that comes is tried again.
                waiting.dropped += rest.count { $0 == UInt8(ascii: "\n") } - (dropped > waiting.droppedTold ? 1 : 0)
                waiting.isWriting = false
                return false
            }
            if !goesOn { return }
        }
    }

    /// Returns what could not be written: whoever read our log is gone, or its disk is full, and the server goes on.
    private func write(_ bytes: [UInt8]) -> ArraySlice<UInt8> {
        var rest = bytes[...]
        while !rest.isEmpty {
            let written = rest.withUnsafeBytes { Glibc.write(2, $0.baseAddress, $0.count) }
            if written > 0 {
                rest = rest.dropFirst(written)
            } else if errno == EAGAIN {
                // Somebody else who has the same pipe made it non-blocking.
                var writable = pollfd(fd: 2, events: Int16(POLLOUT), revents: 0)
                poll(&writable, 1, -1)
            } else if errno != EINTR {
                return rest
            }
        }
        return rest
    }
}
