import AuthCore
import Foundation
import Testing

/// The real binary, started with a folder of its own and ports that the system chose.
final class Program: @unchecked Sendable {
    // Confined to its initialiser: nothing is written after it, and Process takes signals and waits from any thread.
    let folder: URL
    private let process = Process()
    private let readyEvent: String
    private(set) var authPort = 0
    private(set) var authMTLSPort = 0
    private(set) var adminPort = 0
    private(set) var gatewayPort = 0

    static let binary: URL = {
        // The test bundle lies beside the program that was built with it.
        Bundle.allBundles.map(\.bundleURL).first { $0.pathExtension == "xctest" }?.deletingLastPathComponent().appendingPathComponent(
            "gatehouse")
            ?? URL(fileURLWithPath: CommandLine.arguments[0]).deletingLastPathComponent().appendingPathComponent("gatehouse")
    }()

    static func newFolder() throws -> URL {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("gh-\(UUID().uuidString.prefix(8))")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        try Data(resources.utf8).write(to: folder.appendingPathComponent("resources.yaml"))
        try Data(settings.utf8).write(to: folder.appendingPathComponent("gatehouse.yaml"))
        return folder
    }

    /// A folder of a program whose storage is `uri`; those that share it have the same `key`.
    ///
    /// - Parameter more: Further settings, in YAML.
    static func newFolder(storage uri: String, key: String, more: String = "") throws -> URL {
        let folder = try newFolder()
        try Data(uri.utf8).write(to: folder.appendingPathComponent("storage"))
        let file = folder.appendingPathComponent("master.key")
        try Data(key.utf8).write(to: file)
        try FileManager.default.setAttributes([.posixPermissions: 0o600], ofItemAtPath: file.path)
        let settings = settings.replacingOccurrences(of: "sqlite:gatehouse.db", with: "file:storage")
        try Data((settings + "\nstorage_connections: 4\n" + more).utf8).write(to: folder.appendingPathComponent("gatehouse.yaml"))
        return folder
    }

    /// A master key, as it stands in its file.
    static func newKey() -> String { Base64URL.encode((0..<32).map { _ in UInt8.random(in: 0...255) }) }

    static let settings = """
        listen: {auth: "127.0.0.1:0", gateway: "127.0.0.1:0", admin: "127.0.0.1:0", control: "unix:control.sock"}
        storage: sqlite:gatehouse.db
        master_keys: [file:master.key]
        apply: [resources.yaml]
        passwords: {memory_kib: 7168, iterations: 5}
        lockout: {free_attempts: 50}
        log: {format: json, level: debug}
        """

    static let resources = """
        users:
          - {username: alice, password: correct-horse-battery, roles: [customer]}
        resources:
          - {id: orders, scopes: ["orders:read"]}
        roles:
          customer: ["orders:read"]
        routes:
          - {name: orders, match: {path: /orders}, upstream: "http://127.0.0.1:1", require: {scope: "orders:read"}}
        """

    /// - Parameters:
    ///   - log: Where the program writes its log; by default the file `log.jsonl`, whose text `log` is. A pipe is read until the
    ///     program is ready, and not after.
    ///   - filesMax: `ulimit -n`.
    ///   - event: The line of the log that is waited for.
    init(folder: URL, environment: [String: String] = [:], log pipe: Pipe? = nil, filesMax: Int? = nil, until event: String = "ready")
        throws
    {
        self.folder = folder
        readyEvent = event
        process.executableURL = Program.binary
        process.arguments = ["serve", "--config", folder.appendingPathComponent("gatehouse.yaml").path]
        if let filesMax {
            process.executableURL = URL(fileURLWithPath: "/bin/sh")
            process.arguments = ["-c", "ulimit -n \(filesMax) && exec \"$0\" \"$@\"", Program.binary.path] + (process.arguments ?? [])
        }
        process.environment = environment
        process.currentDirectoryURL = folder
        if let pipe {
            process.standardError = pipe
            try process.run()
            var text = Data()
            try waitUntilReady {
                text += pipe.fileHandleForReading.availableData
                return text
            }
            return
        }
        let log = folder.appendingPathComponent("log.jsonl")
        if !FileManager.default.fileExists(atPath: log.path) { try Data().write(to: log) }
        let handle = try FileHandle(forWritingTo: log)
        let start = try handle.seekToEnd()
        process.standardError = handle
        process.standardOutput = handle
        try process.run()
        try waitUntilReady {
            let handle = try FileHandle(forReadingFrom: log)
            try handle.seek(toOffset: start)
            return try handle.readToEnd() ?? Data()
        }
    }

    deinit { if process.isRunning { kill(SIGKILL) } }

    struct NotReady: Error { let log: String }

    private func waitUntilReady(_ log: () throws -> Data) throws {
        for _ in 0..<1_000 {
            let lines = String(decoding: try log(), as: UTF8.self).split(separator: "\n")
            for line in lines {
                guard let event = (try? JSONReader.read(String(line)))?.object, event["event"]?.string == "listening" else { continue }
                let port = event["address"]?.string?.split(separator: ":").last.flatMap { Int($0) } ?? 0
                switch event["listener"]?.string {
                case "auth": authPort = port
                case "auth_mtls": authMTLSPort = port
                case "admin": adminPort = port
                case "gateway": gatewayPort = port
                default: break
                }
            }
            if lines.contains(where: { $0.contains("\"event\":\"\(readyEvent)\"") }) { return }
            if !process.isRunning { throw NotReady(log: lines.joined(separator: "\n")) }
            usleep(10_000)
        }
        throw NotReady(log: "no line in ten seconds")
    }

    /// Ends the program and waits for it. One that does not go is killed after ten seconds, and that is a failure.
    func kill(_ signal: Int32) {
        Foundation.kill(process.processIdentifier, signal)
        for _ in 0..<1_000 where process.isRunning { usleep(10_000) }
        if process.isRunning {
            Issue.record("signal \(signal) did not end the program")
            Foundation.kill(process.processIdentifier, SIGKILL)
        }
        process.waitUntilExit()
    }

    func signal(_ signal: Int32) { Foundation.kill(process.processIdentifier, signal) }

    func waitUntilExit() -> Int32 {
        process.waitUntilExit()
        return process.terminationStatus
    }

    var isRunning: Bool { process.isRunning }
    var processIdentifier: Int32 { process.processIdentifier }

    /// The state of each thread, as proc(5) has it: `T` for stopped.
    var threadStates: [Substring] {
        let folder = "/proc/\(process.processIdentifier)/task"
        let threads = (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
        return threads.compactMap { thread in
            let text = try? String(contentsOfFile: "\(folder)/\(thread)/stat", encoding: .utf8)
            return text?.split(separator: ")").last?.split(separator: " ").first
        }
    }

    var log: String { (try? String(contentsOf: folder.appendingPathComponent("log.jsonl"), encoding: .utf8)) ?? "" }

    /// Runs a command of the binary in the folder and returns what it printed.
    /// One that was killed has the signal as its status.
    static func run(
        _ arguments: [String], in folder: URL, input: String = "", environment: [String: String] = [:]
    ) throws -> (status: Int32, output: String, errors: String) {
        let process = Process()
        process.executableURL = binary
        process.arguments = arguments
        process.currentDirectoryURL = folder
        process.environment = environment
        let (output, errors, stdin) = (Pipe(), Pipe(), Pipe())
        process.standardOutput = output
        process.standardError = errors
        process.standardInput = stdin
        try process.run()
        try stdin.fileHandleForWriting.write(contentsOf: Data(input.utf8))
        try stdin.fileHandleForWriting.close()
        let printed = try output.fileHandleForReading.readToEnd() ?? Data()
        let told = try errors.fileHandleForReading.readToEnd() ?? Data()
        process.waitUntilExit()
        return (process.terminationStatus, String(decoding: printed, as: UTF8.self), String(decoding: told, as: UTF8.self))
    }

    /// One request on a connection of its own; nothing when there was no answer, or only a part of one.
    func send(_ method: String, _ path: String, _ json: String = "", headers: [String] = [], port: Int? = nil) -> (
        status: Int, json: JSONObject
    )? {
        exchange(method, path, json, headers: headers, port: port).flatMap(Program.parse)
    }

    /// The same, with all bytes of the answer.
    func exchange(_ method: String, _ path: String, _ json: String = "", headers: [String] = [], port: Int? = nil) -> [UInt8]? {
        var head = "\(method) \(path) HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n"
        for header in headers { head += header + "\r\n" }
        if !json.isEmpty { head += "content-type: application/json\r\ncontent-length: \(json.utf8.count)\r\n" }
        return Socket.exchange(Array((head + "\r\n" + json).utf8), port: port ?? authPort)
    }

    /// A gauge of the metrics page; 0 when it is not there.
    func metric(_ name: String) -> Int {
        guard let answer = Socket.exchange(Array("GET /metrics HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n".utf8), port: adminPort)
        else { return 0 }
        let line = String(decoding: answer, as: UTF8.self).split(separator: "\n").first { $0.hasPrefix(name + " ") }
        return line.flatMap { Int($0.split(separator: " ")[1].trimmingCharacters(in: .whitespacesAndNewlines)) } ?? 0
    }

    static func parse(_ answer: [UInt8]) -> (status: Int, json: JSONObject)? {
        let text = String(decoding: answer, as: UTF8.self)
        guard text.hasPrefix("HTTP/1.1 "), let status = Int(text.dropFirst(9).prefix(3)), let split = text.range(of: "\r\n\r\n") else {
            return nil
        }
        let body = text[split.upperBound...]
        guard let length = text[..<split.lowerBound].split(separator: "\r\n").first(where: { $0.hasPrefix("content-length:") }) else {
            return status == 204 ? (status, JSONObject()) : nil
        }
        guard Int(length.dropFirst(15).trimmingCharacters(in: .whitespaces)) == body.utf8.count else { return nil }
        return (status, (try? JSONReader.read(String(body)))?.object ?? JSONObject())
    }
}

enum Socket {
    static func exchange(_ request: [UInt8], port: Int) -> [UInt8]? { connected(to: port).flatMap { exchange(request, on: $0) } }

    /// Sends `request` and reads until the server closes, or says nothing for half a minute; closes too. Nothing when there was nothing.
    static func exchange(_ request: [UInt8], on descriptor: Int32) -> [UInt8]? {
        defer { close(descriptor) }
        guard request.withUnsafeBytes({ Foundation.send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) }) == request.count
        else { return nil }
        var answer: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 16_384)
        while true {
            let count = read(descriptor, &buffer, buffer.count)
            if count <= 0 { break }
            answer.append(contentsOf: buffer[..<count])
        }
        return answer.isEmpty ? nil : answer
    }

    /// A connection that has said nothing yet; whoever asked closes it.
    static func connected(to port: Int) -> Int32? {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var patience = timeval(tv_sec: 30, tv_usec: 0)
        setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &patience, socklen_t(MemoryLayout<timeval>.size))
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = in_port_t(UInt16(port)).bigEndian
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        let status = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) }
        }
        if status == 0 { return descriptor }
        close(descriptor)
        return nil
    }
}

/// Until `condition` holds; ten seconds at the most. What does not come is told of the place that waits.
func wait(_ condition: () -> Bool, sourceLocation: SourceLocation = #_sourceLocation) throws {
    for _ in 0..<500 {
        if condition() { return }
        usleep(20_000)
    }
    try #require(condition(), sourceLocation: sourceLocation)
}
