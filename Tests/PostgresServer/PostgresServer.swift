public import Foundation
internal import Synchronization

/// A PostgreSQL of the tests' own, in a temporary folder, reached through a socket there. As an unprivileged user, because PostgreSQL
/// refuses to run as root. It ends with the process that started it, however that ends.
public final class PostgresServer: Sendable {
    public struct Failure: Error, CustomStringConvertible {
        public let description: String
    }

    /// How many schemas there are to give out.
    private static let schemas = 300

    public let folder: URL
    public let port: Int
    private let process: Mutex<Process>
    private let count = Mutex(0)

    /// The one that the tests of this process share; started at its first use.
    public static func shared() throws -> PostgresServer { try sharedResult.get() }
    private static let sharedResult = Result { try PostgresServer() }

    /// - Parameter settings: Lines of `postgresql.conf`, beside those for a quick server that nobody else can reach.
    public init(settings: [String] = [], port: Int = 5_432) throws {
        folder = FileManager.default.temporaryDirectory.appendingPathComponent("gh-pg-\(UUID().uuidString.prefix(8))")
        self.port = port
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        if PostgresServer.isRoot { try PostgresServer.run("/bin/chown", [PostgresServer.user, folder.path]) }
        let data = folder.appendingPathComponent("data").path
        try PostgresServer.asUser([
            "\(try PostgresServer.programs())/initdb", "-D", data, "-U", "gatehouse", "-A", "trust", "-E", "UTF8",
            "--locale=C", "--no-sync",
        ])
        process = Mutex(Process())
        try start(settings)
        // All at once: a process started beside a test holds that test's file locks for the moment between fork and exec.
        try statement("DO $$ BEGIN FOR i IN 1..\(PostgresServer.schemas) LOOP EXECUTE 'CREATE SCHEMA t' || i; END LOOP; END $$")
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

    public func uri(schema: String) -> String {
        "postgres:///postgres?host=\(folder.path)&port=\(port)&user=gatehouse&options=-csearch_path%3D\(schema)"
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
        let process = process.withLock { $0 }
        if let pid = postmaster { Foundation.kill(pid, SIGQUIT) } else if process.isRunning { process.terminate() }
        for _ in 0..<500 where process.isRunning { usleep(10_000) }
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
                "listen_addresses=", "unix_socket_directories=\(folder.path)", "port=\(port)", "fsync=off", "max_connections=500",
                "shared_buffers=32MB", "log_min_messages=warning", "logging_collector=off",
            ] + settings
        let arguments = options.map { "-c \(PostgresServer.quoted($0))" }.joined(separator: " ")
        // The shell waits for its standard input to end, which it does when we do.
        let script = """
            exec 3<&0
            '\(programs)/postgres' -D '\(folder.path)/data' \(arguments) >> '\(folder.path)/log' 2>&1 < /dev/null &
            server=$!
            (cat <&3 > /dev/null; kill -QUIT $server 2> /dev/null; sleep 0.3; rm -rf '\(folder.path)') &
            exec 3<&-
            wait $server
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

    private static let isRoot = getuid() == 0
    private static let user = "postgres"

    /// Where Debian puts the programs of the newest version.
    private static func programs() throws -> String {
        let root = "/usr/lib/postgresql"
        let versions = ((try? FileManager.default.contentsOfDirectory(atPath: root)) ?? []).compactMap { Int($0) }.sorted()
        guard let newest = versions.last else { throw Failure(description: "PostgreSQL is not installed: make setup") }
        return "\(root)/\(newest)/bin"
    }

    private static func command(_ command: [String]) -> [String] {
        isRoot ? ["/usr/bin/setpriv", "--reuid=\(user)", "--regid=\(user)", "--clear-groups"] + command : command
    }

    private static func asUser(_ words: [String]) throws {
        let command = command(words)
        try run(command[0], Array(command.dropFirst()))
    }

    @discardableResult
    private static func run(_ program: String, _ arguments: [String]) throws -> String {
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
