public import Foundation
internal import Synchronization

/// A PostgreSQL of the tests' own, in a temporary folder, reached through a socket there. As an unprivileged user, because PostgreSQL
/// refuses to run as root. It ends with the process that started it, however that ends.
public final class PostgresServer: Sendable {
    public struct Failure: Error, CustomStringConvertible {
        public let description: String
    }

    /// How many schemas there are to give out.
    static let schemas = 300

    public let folder: URL
    public let port: Int
    private let process: Mutex<Process>
    private let count = Mutex(0)

    /// The one that the tests of this process share; started at its first use.
    public static func shared() throws -> PostgresServer { try sharedResult.get() }
    private static let sharedResult = Result { try PostgresServer() }

    /// - Parameters:
    ///   - settings: Lines of `postgresql.conf`, beside those for a quick server that nobody else can reach.
    ///   - files: Texts by name, in the folder of the data, where relative paths of `settings` lead; `pg_hba.conf` among them.
    public convenience init(settings: [String] = [], files: [String: String] = [:], port: Int = 5_432) throws {
        try self.init(port: port) { data in
            try PostgresServer.asUser([
                "\(try PostgresServer.programs())/initdb", "-D", data, "-U", "gatehouse", "-A", "trust", "-E", "UTF8",
                "--locale=C", "--no-sync",
            ])
        }
        for (name, text) in files { try write(text, to: folder.appendingPathComponent("data/\(name)")) }
        try start(settings)
        // All at once: a process started beside a test holds that test's file locks for the moment between fork and exec.
        try statement("DO $$ BEGIN FOR i IN 1..\(PostgresServer.schemas) LOOP EXECUTE 'CREATE SCHEMA t' || i; END LOOP; END $$")
    }

    /// A standby that follows `primary` by streaming replication.
    public convenience init(standbyOf primary: PostgresServer, settings: [String] = []) throws {
        try self.init(port: primary.port) { data in
            try PostgresServer.asUser([
                "\(try PostgresServer.programs())/pg_basebackup", "-h", primary.folder.path, "-p", "\(primary.port)", "-U", "gatehouse",
                "-D", data, "-R", "-X", "stream", "--checkpoint=fast", "--no-sync",
            ])
        }
        try start(settings)
    }

    private init(port: Int, makeData: (String) throws -> Void) throws {
        folder = FileManager.default.temporaryDirectory.appendingPathComponent("gh-pg-\(UUID().uuidString.prefix(8))")
        self.port = port
        process = Mutex(Process())
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        if PostgresServer.isRoot { try PostgresServer.run("/bin/chown", [PostgresServer.user, folder.path]) }
        try makeData(folder.appendingPathComponent("data").path)
    }

    private func write(_ text: String, to file: URL) throws {
        try Data(text.utf8).write(to: file)
        // It refuses a key that others may read.
        try FileManager.default.setAttributes([.posixPermissions: 0o600], ofItemAtPath: file.path)
        if PostgresServer.isRoot { try PostgresServer.run("/bin/chown", [PostgresServer.user, file.path]) }
    }

    /// A port of 127.0.0.1 that nobody uses now.
    public static func freePort() throws -> Int {
        let (socket, port) = try PostgresProxy.bound()
        close(socket)
        return port
    }

    /// Makes a standby the primary of a new history.
    public func promote() throws {
        try PostgresServer.asUser([
            "\(try PostgresServer.programs())/pg_ctl", "promote", "-w", "-D", folder.appendingPathComponent("data").path,
        ])
    }

    /// A URI of a schema that nobody uses yet.
    public func newSchema() throws -> String {
        let number = count.withLock { count in
            count += 1
            return count
        }
        guard number <= PostgresServer.schemas else { throw Failure(description: "more than \(PostgresServer.schemas) schemas are used") }
        return uri(schema: "t\(number)")
    }

    public func uri(schema: String) -> String { PostgresServer.uri([self], schema: schema) }

    /// One URI of several servers, in this order.
    public static func uri(_ servers: [PostgresServer], schema: String) -> String {
        let (hosts, ports) = (servers.map(\.folder.path).joined(separator: ","), servers.map { "\($0.port)" }.joined(separator: ","))
        return "postgres:///postgres?host=\(hosts)&port=\(ports)&user=gatehouse&options=-csearch_path%3D\(schema)"
    }

    /// Where clients of this machine reach it.
    public var socket: String { folder.appendingPathComponent(".s.PGSQL.\(port)").path }

    /// Every process of the server gets `signal`: SIGSTOP freezes it, SIGCONT wakes it.
    public func signalAll(_ signal: Int32) {
        guard let postmaster else { return }
        let running = ((try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? []).compactMap { Int32($0) }
        for process in running {
            // The parent is the second word behind the name, which stands in brackets.
            let text = (try? String(contentsOfFile: "/proc/\(process)/stat", encoding: .utf8)) ?? ""
            let words = text.split(separator: ")").last?.split(separator: " ") ?? []
            if words.count > 1, Int32(words[1]) == postmaster { Foundation.kill(process, signal) }
        }
        Foundation.kill(postmaster, signal)
    }

    /// Runs SQL through `psql` and returns what it prints, unaligned and without headings.
    @discardableResult
    public func statement(_ sql: String) throws -> String {
        try PostgresServer.run(
            "\(try PostgresServer.programs())/psql",
            ["-h", folder.path, "-p", "\(port)", "-U", "gatehouse", "-d", "postgres", "-XAtqc", sql])
    }

    /// The server at once, as if its machine had lost its process; `start` brings it back.
    public func kill() {
        guard let pid = postmaster else { return process.withLock { $0 }.terminate() }
        Foundation.kill(pid, SIGQUIT)
        // Not `isRunning`: that is true until what stays beside the server has ended too.
        for _ in 0..<500 {
            let text = (try? String(contentsOfFile: "/proc/\(pid)/stat", encoding: .utf8)) ?? ""
            let state = text.split(separator: ")").last?.split(separator: " ").first ?? "Z"
            if state == "Z" { return }
            usleep(10_000)
        }
    }

    /// The process of the server, from the file that it keeps.
    public var postmaster: Int32? {
        let file = folder.appendingPathComponent("data/postmaster.pid")
        guard let text = try? String(contentsOf: file, encoding: .utf8) else { return nil }
        return text.split(separator: "\n").first.flatMap { Int32($0) }
    }

    public func start(_ settings: [String] = []) throws {
        let process = Process()
        let programs = try PostgresServer.programs()
        let options =
            [
                "listen_addresses=", "unix_socket_directories=\(folder.path)", "port=\(port)", "fsync=off", "max_connections=1500",
                "shared_buffers=32MB", "log_min_messages=warning", "logging_collector=off",
            ] + settings
        let arguments = options.map { "-c \(PostgresServer.quoted($0))" }.joined(separator: " ")
        // What stays beside the server waits for its standard input to end, which it does when we do.
        let script = """
            exec 3<&0
            (cat <&3 > /dev/null; kill -QUIT $$ 2> /dev/null; sleep 0.3; rm -rf '\(folder.path)') &
            exec 3<&-
            exec '\(programs)/postgres' -D '\(folder.path)/data' \(arguments) >> '\(folder.path)/log' 2>&1 < /dev/null
            """
        let command = PostgresServer.command(["/bin/sh", "-c", script])
        process.executableURL = URL(fileURLWithPath: command[0])
        process.arguments = Array(command.dropFirst())
        process.standardInput = Pipe()
        process.standardOutput = FileHandle.nullDevice
        process.standardError = FileHandle.nullDevice
        try process.run()
        self.process.withLock { $0 = process }
        for _ in 0..<600 {
            if (try? statement("SELECT 1")) != nil { return }
            usleep(20_000)
        }
        let log = (try? String(contentsOf: folder.appendingPathComponent("log"), encoding: .utf8)) ?? "no log"
        throw Failure(description: "PostgreSQL did not start: \(log.suffix(2_000))")
    }

    private static func quoted(_ text: String) -> String { "'" + text.replacingOccurrences(of: "'", with: "'\\''") + "'" }

    static let isRoot = getuid() == 0
    private static let user = "postgres"

    /// Where Debian puts the programs of the newest version.
    static func programs() throws -> String {
        let root = "/usr/lib/postgresql"
        let versions = ((try? FileManager.default.contentsOfDirectory(atPath: root)) ?? []).compactMap { Int($0) }.sorted()
        guard let newest = versions.last else { throw Failure(description: "PostgreSQL is not installed: make setup") }
        return "\(root)/\(newest)/bin"
    }

    static func command(_ command: [String]) -> [String] {
        isRoot ? ["/usr/bin/setpriv", "--reuid=\(user)", "--regid=\(user)", "--clear-groups"] + command : command
    }

    private static func asUser(_ words: [String]) throws {
        let command = command(words)
        try run(command[0], Array(command.dropFirst()))
    }

    @discardableResult
    static func run(_ program: String, _ arguments: [String]) throws -> String {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: program)
        process.arguments = arguments
        process.currentDirectoryURL = URL(fileURLWithPath: "/")
        let (output, errors) = (Pipe(), Pipe())
        process.standardOutput = output
        process.standardError = errors
        try process.run()
        let text = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        let problem = String(decoding: errors.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        process.waitUntilExit()
        guard process.terminationStatus == 0 else { throw Failure(description: "\(program): \(problem)") }
        return text.trimmingCharacters(in: .whitespacesAndNewlines)
    }

    deinit {
        kill()
        // In the temporary directory; what cannot be removed is the system's to clean.
        try? FileManager.default.removeItem(at: folder)
    }
}
