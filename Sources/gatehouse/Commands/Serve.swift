import AuthCore
@preconcurrency import Dispatch
import Glibc
import HTTPEdge
import Settings
import Store

/// `gatehouse serve`: from settings to a running server, and from SIGTERM to a clean end.
enum ServeCommand {
    static func run(_ arguments: [String]) async throws -> Int32 {
        let (settings, warnings) = try SettingsLoading.load(arguments)
        let environment = Environment.live
        let log = LogWriter.make(isForPeople: settings.logging.isForPeople, level: settings.logging.level, environment: environment)
        for warning in warnings { log(.warning, "setting", [("message", warning)]) }
        // Before anything is opened: a signal that comes while the server starts is kept, and ends it in order once it runs.
        let signals = Signals()
        let files = FileBudget.raised()
        guard files.limit >= FileBudget.limitMin else {
            throw StartFailure("only \(files.limit) files may be open at once, and \(FileBudget.limitMin) are needed: raise `ulimit -n`")
        }
        log(.debug, "open_files", [("limit", String(files.limit)), ("connections_max", String(files.wide.connectionsMax))])
        if settings.roles == [.gateway] {
            return try await ServeGateway(settings: settings, environment: environment, log: log).run(files, signals)
        }
        try checkMode(of: settings)
        let start = ColdStart(settings, environment: environment, log: log)
        // A file of this machine is there or it is not. A database elsewhere may come later, and the listeners do not wait for it.
        let node = start.mayWait ? nil : try await start.node()
        let server = try await Server.start(start, files: files, node: node)
        return try await ServeNode(start: start, node: node, server: server, signals: signals).run()
    }

    /// Resource files are applied at start unless they are what was applied last. Into a database that nodes share they go only while
    /// nothing was ever applied: the files of one machine do not undo what an operator has applied for all.
    static func applyAtStart(_ node: Node) async throws(StartFailure) {
        do throws(ResourceLoader.Failure) {
            let files = try node.resources.files()
            if files.isEmpty { return }
            if node.sharesItsStore, try await node.resources.wasApplied() { return }
            if try await node.resources.isApplied(files) { return }
            try await apply(files, node)
        } catch {
            switch error {
            case .faulty(let problems):
                throw StartFailure(
                    "the resource files have mistakes; nothing was changed:\n" + problems.map { "  \($0)" }.joined(separator: "\n"))
            case .store(let error): throw StartFailure("the store cannot be written", error)
            }
        }
    }

    /// After SIGHUP, or when a file has changed: a faulty file is reported and changes nothing.
    static func reapply(_ node: Node) async {
        if node.sharesItsStore { return node.log(.info, "resources_kept", [("message", "the database is shared: use gatehouse apply")]) }
        do throws(ResourceLoader.Failure) {
            let files = try node.resources.files()
            if files.isEmpty { return }
            if try await node.resources.isApplied(files) { return }
            try await apply(files, node)
        } catch {
            switch error {
            case .faulty(let problems): for problem in problems { node.log(.error, "resources_refused", [("problem", problem)]) }
            case .store(let error): node.log(.error, "resources_refused", [("problem", StoreError.sentence(error))])
            }
        }
    }

    private static func apply(_ files: [ResourceFile], _ node: Node) async throws(ResourceLoader.Failure) {
        let traceID = TraceID(node.environment).description
        let (changes, warnings) = try await node.resources.apply(files, prune: false, dryRun: false, traceID: traceID)
        for warning in warnings { node.log(.warning, "resource", [("message", warning)]) }
        node.log(.info, "resources_applied", [("changes", String(changes.count)), ("trace_id", traceID)])
        do { try await node.reload() } catch { throw .store(error) }
    }

    /// A key that others can read is no secret. (Keys behind `env:` have no file.)
    private static func checkMode(of settings: ServerSettings) throws(StartFailure) {
        // As check-config shows it: `[file:/path, env:NAME]`.
        let shown = settings.resolved.entry("master_keys")?.shown ?? ""
        let sources = shown.dropFirst().dropLast().split(separator: ",").map { $0.drop { $0 == " " } }
        for path in sources.filter({ $0.hasPrefix("file:") }).map({ String($0.dropFirst(5)) }) where Files.isReadableByOthers(path) {
            throw StartFailure("the master key \(path) can be read by others; make it private with: chmod 600 \(path)")
        }
    }
}

/// SIGTERM, SIGINT and SIGHUP as a sequence.
final class Signals: Sendable {
    let events: AsyncStream<Int32>
    private let continuation: AsyncStream<Int32>.Continuation
    private let source: any DispatchSourceRead

    /// From the handler to the source. Both ends live as long as the process; a full pipe loses a repetition, never a first signal.
    private static let pipe: (reading: Int32, writing: Int32) = {
        var ends: [Int32] = [-1, -1]
        guard Glibc.pipe(&ends) == 0 else { return (-1, -1) }
        for end in ends {
            _ = fcntl(end, F_SETFD, FD_CLOEXEC)
            _ = fcntl(end, F_SETFL, O_NONBLOCK)
        }
        return (ends[0], ends[1])
    }()

    /// From each `sigaction` on, a signal is either still the system's to answer (and ends the process) or in the pipe: none is lost between.
    init() {
        let (events, continuation) = AsyncStream<Int32>.makeStream()
        self.events = events
        self.continuation = continuation
        let ends = Signals.pipe
        source = DispatchSource.makeReadSource(fileDescriptor: ends.reading, queue: .global())
        source.setEventHandler {
            var numbers = [UInt8](repeating: 0, count: 64)
            let count = read(ends.reading, &numbers, numbers.count)
            for number in numbers.prefix(max(0, count)) { continuation.yield(Int32(number)) }
        }
        source.resume()
        for number in [SIGTERM, SIGINT, SIGHUP] {
            var action = sigaction()
            action.__sigaction_handler.sa_handler = { number in
                let before = errno
                var byte = UInt8(truncatingIfNeeded: number)
                _ = write(Signals.pipe.writing, &byte, 1)
                errno = before
            }
            action.sa_flags = SA_RESTART
            sigaction(number, &action, nil)
        }
    }

    /// No signal is waited for any more.
    func end() { continuation.finish() }
}
