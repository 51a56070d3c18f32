public import Foundation
internal import Synchronization

/// PgBouncer in transaction mode before a PostgreSQL, in a temporary folder. It ends with the process that started it.
public final class PgBouncer: Sendable {
    public let folder: URL
    private let process: Mutex<Process>
    private static let port = 6_432

    /// The one that the tests of this process share, before the shared server; started at its first use.
    public static func shared() throws -> PgBouncer { try sharedResult.get() }
    private static let sharedResult = Result { try PgBouncer(to: PostgresServer.shared().folder.path) }

    /// - Parameters:
    ///   - server: The folder of the server's socket, whose port is 5432.
    ///   - connections: To the server, for each schema.
    public init(to server: String, connections: Int = 3) throws {
        let program = "/usr/sbin/pgbouncer"
        guard FileManager.default.isExecutableFile(atPath: program) else {
            throw PostgresServer.Failure(description: "PgBouncer is not installed: make setup")
        }
        folder = FileManager.default.temporaryDirectory.appendingPathComponent("gh-pb-\(UUID().uuidString.prefix(8))")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        process = Mutex(Process())
        // It takes no `options`, so a schema is a database here, and what would be the option is said when it connects.
        let databases = (1...PostgresServer.schemas).map {
            "t\($0) = host=\(server) port=5432 dbname=postgres user=gatehouse connect_query='SET search_path = t\($0)'"
        }
        let settings = """
            [databases]
            \(databases.joined(separator: "\n"))
            [pgbouncer]
            pool_mode = transaction
            default_pool_size = \(connections)
            max_client_conn = 1000
            auth_type = any
            listen_port = \(PgBouncer.port)
            unix_socket_dir = \(folder.path)
            logfile = \(folder.path)/log
            server_login_retry = 1
            """
        let file = folder.appendingPathComponent("pgbouncer.ini")
        try Data(settings.utf8).write(to: file)
        if PostgresServer.isRoot { try PostgresServer.run("/bin/chown", ["-R", "postgres", folder.path]) }
        let script = """
            exec 3<&0
            (cat <&3 > /dev/null; kill -KILL $$ 2> /dev/null; sleep 0.1; rm -rf '\(folder.path)') &
            exec 3<&-
            exec '\(program)' -q '\(file.path)' > /dev/null 2>&1 < /dev/null
            """
        let command = PostgresServer.command(["/bin/sh", "-c", script])
        let process = Process()
        process.executableURL = URL(fileURLWithPath: command[0])
        process.arguments = Array(command.dropFirst())
        process.standardInput = Pipe()
        try process.run()
        self.process.withLock { $0 = process }
        for _ in 0..<500 where !FileManager.default.fileExists(atPath: folder.path + "/.s.PGSQL.\(PgBouncer.port)") { usleep(10_000) }
    }

    /// - Parameter schema: As `PostgresServer.newSchema` gives it out.
    public func uri(schema: String) -> String { "postgres:///\(schema)?host=\(folder.path)&port=\(PgBouncer.port)&user=gatehouse&pooled=1" }

    /// Runs SQL through it and returns what `psql` prints, unaligned and without headings.
    public func statement(_ sql: String, schema: String) throws -> String {
        try PostgresServer.run(
            "\(try PostgresServer.programs())/psql",
            ["-h", folder.path, "-p", "\(PgBouncer.port)", "-U", "gatehouse", "-d", schema, "-XAtqc", sql])
    }

    deinit { process.withLock { _ = Foundation.kill($0.processIdentifier, SIGKILL) } }
}
