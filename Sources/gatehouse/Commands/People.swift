import AuthCore
import Glibc

/// `gatehouse user …`
enum UserCommand {
    static let usage =
        "list | add NAME [--email E] [--role R …] | show NAME | disable NAME | enable NAME | password NAME | roles NAME [--role R …] | delete NAME"

    static func run(_ arguments: [String]) async throws -> Int32 {
        let options = try Options(arguments, options: ["--email", "--role", "--limit", "--after"], operands: 2)
        let control = try options.control()
        guard let verb = options.operands.first else { throw UsageError(usage) }
        if verb == "list" {
            try list(control, options)
            return 0
        }
        guard options.operands.count == 2 else { throw UsageError("name the user") }
        let name = options.operands[1]
        let path = "/admin/users/\(pathSegment(name))"
        let roles = JSONValue.array(options.all("--role").map { .string($0) })
        switch verb {
        case "add":
            var user = JSONObject([("username", .string(name)), ("roles", roles)])
            if let email = options.value("--email") { user["email"] = .string(email) }
            if let password = try readPassword() { user["password"] = .string(password) }
            show(try control.call("POST", "/admin/users", user))
        case "show": show(try control.call("GET", path))
        case "disable", "enable": show(try control.call("PATCH", path, JSONObject([("disabled", .bool(verb == "disable"))])))
        case "roles": show(try control.call("PATCH", path, JSONObject([("roles", roles)])))
        case "password":
            guard let password = try readPassword() else { throw UsageError("type the password, or give it on standard input") }
            show(try control.call("PATCH", path, JSONObject([("password", .string(password))])))
        case "delete":
            try control.call("DELETE", path)
            Terminal.out("deleted \(name)")
        default: throw UsageError(usage)
        }
        return 0
    }

    private static func list(_ control: ControlClient, _ options: Options) throws {
        var query = "limit=\(options.value("--limit").flatMap { Int($0) } ?? 100)"
        if let after = options.value("--after") { query += "&after=\(pathSegment(after))" }
        let users = try control.call("GET", "/admin/users?\(query)")["users"]?.array ?? []
        let rows = users.compactMap(\.object).map { user in
            [
                user["username"]?.string ?? "", user["disabled"]?.bool == true ? "disabled" : "active",
                (user["roles"]?.strings ?? []).joined(separator: ","), user["email"]?.string ?? "", user["id"]?.string ?? "",
            ]
        }
        Terminal.out(table([["USER", "STATE", "ROLES", "EMAIL", "ID"]] + rows))
    }

    private static func show(_ object: JSONObject) {
        Terminal.out(table(object.map { name, value in [name, value.string ?? String(decoding: value.encoded, as: UTF8.self)] }))
    }

    /// One line from standard input, without echo on a terminal. Never an argument: those are seen by every process.
    private static func readPassword() throws(UsageError) -> String? {
        let isTerminal = isatty(0) == 1
        var before = termios()
        if isTerminal {
            Terminal.error("Password (not shown; empty for none):")
            tcgetattr(0, &before)
            var silent = before
            silent.c_lflag &= ~tcflag_t(ECHO)
            tcsetattr(0, TCSANOW, &silent)
        }
        defer { if isTerminal { tcsetattr(0, TCSANOW, &before) } }
        guard let line = readLine(), !line.isEmpty else { return nil }
        return line
    }
}

/// `gatehouse session …`
enum SessionCommand {
    static let usage = "list USER | end SID | end-all USER"

    static func run(_ arguments: [String]) async throws -> Int32 {
        let options = try Options(arguments, operands: 2)
        let control = try options.control()
        guard options.operands.count == 2 else { throw UsageError(usage) }
        let name = pathSegment(options.operands[1])
        switch options.operands[0] {
        case "list":
            let sessions = try control.call("GET", "/admin/users/\(name)/sessions")["sessions"]?.array ?? []
            let rows = sessions.compactMap(\.object).map { session in
                [
                    session["sid"]?.string ?? "", session["client_id"]?.string ?? "", timeText(session["created_at"]?.int),
                    timeText(session["last_used_at"]?.int), session["source"]?.string ?? "", session["agent"]?.string ?? "",
                ]
            }
            Terminal.out(table([["SESSION", "CLIENT", "BEGAN", "LAST USED", "FROM", "AGENT"]] + rows))
        case "end":
            try control.call("DELETE", "/admin/sessions/\(name)")
            Terminal.out("ended")
        case "end-all":
            try control.call("DELETE", "/admin/users/\(name)/sessions")
            Terminal.out("ended all")
        default: throw UsageError(usage)
        }
        return 0
    }
}

/// `gatehouse audit`
enum AuditCommand {
    static func run(_ arguments: [String]) async throws -> Int32 {
        let options = try Options(arguments, options: ["--user", "--limit", "--before"])
        var query = "limit=\(options.value("--limit").flatMap { Int($0) } ?? 50)"
        if let user = options.value("--user") { query += "&user=\(pathSegment(user))" }
        if let before = options.value("--before").flatMap({ Int64($0) }) { query += "&before=\(before)" }
        let events = try options.control().call("GET", "/admin/audit?\(query)")["events"]?.array ?? []
        let rows = events.compactMap(\.object).map { event in
            [
                String(event["number"]?.int ?? 0), timeText(event["at"]?.int), event["event"]?.string ?? "",
                event["account_id"]?.string ?? "-",
                event["client_id"]?.string ?? "-", event["source"]?.string ?? "", event["reason"]?.string ?? "-",
                event["trace_id"]?.string ?? "",
            ]
        }
        Terminal.out(table([["NO", "AT", "EVENT", "ACCOUNT", "CLIENT", "FROM", "REASON", "TRACE"]] + rows))
        return 0
    }
}
