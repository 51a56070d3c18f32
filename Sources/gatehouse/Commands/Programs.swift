import AuthCore
import Store

/// `gatehouse client …`
enum ClientCommand {
    static let usage = "list | disable ID | enable ID | rotate-secret ID | registration-token [--uses N] [--ttl 1d]"

    static func run(_ arguments: [String]) async throws -> Int32 {
        let options = try Options(arguments, options: ["--uses", "--ttl"], operands: 2)
        let control = try options.control()
        if options.operands == ["registration-token"] { return try registrationToken(options, control) }
        if options.operands == ["list"] {
            let clients = try control.call("GET", "/admin/clients")["clients"]?.array ?? []
            let rows = clients.compactMap(\.object).map { client in
                [
                    client["client_id"]?.string ?? "", client["disabled"]?.bool == true ? "disabled" : "active",
                    client["managed_by"]?.string ?? "", String(client["secrets"]?.int ?? 0),
                ]
            }
            Terminal.out(table([["CLIENT", "STATE", "MANAGED BY", "SECRETS"]] + rows))
            return 0
        }
        guard options.operands.count == 2 else { throw UsageError(usage) }
        let id = options.operands[1]
        let path = "/admin/clients/\(pathSegment(id))"
        switch options.operands[0] {
        case "disable", "enable":
            // The id may be a URL, which fits into no segment of a path.
            let change = JSONObject([("client_id", .string(id)), ("disabled", .bool(options.operands[0] == "disable"))])
            try control.call("PATCH", "/admin/clients", change)
            Terminal.out("\(options.operands[0])d")
        case "rotate-secret":
            let answer = try control.call("POST", path + "/secrets", JSONObject())
            Terminal.error("The new secret is shown once. The one before it stays valid until the next rotation.")
            Terminal.out(answer["client_secret"]?.string ?? "")
        default: throw UsageError(usage)
        }
        return 0
    }

    /// Leave to register clients (RFC 7591 §3), for whoever is given it.
    private static func registrationToken(_ options: Options, _ control: ControlClient) throws -> Int32 {
        var body = JSONObject()
        if let text = options.value("--uses") {
            guard let uses = Int64(text), uses > 0 else { throw UsageError("--uses is no number of uses") }
            body["uses"] = .number(JSONNumber(uses))
        }
        if let text = options.value("--ttl") {
            guard let lifetime = DurationText.parse(text), lifetime >= .seconds(1) else { throw UsageError("--ttl is no duration (1d)") }
            body["expires_in"] = .number(JSONNumber(lifetime.wholeSeconds))
        }
        let answer = try control.call("POST", "/admin/registration-tokens", body)
        Terminal.error(
            "Shown once. It is sent to /register as a bearer token, \(answer["uses"]?.int ?? 0) times, until \(timeText(answer["expires_at"]?.int))."
        )
        Terminal.out(answer["registration_token"]?.string ?? "")
        return 0
    }
}

/// `gatehouse key …`
enum KeyCommand {
    static let usage = "list | rotate | revoke KID"

    static func run(_ arguments: [String]) async throws -> Int32 {
        let options = try Options(arguments, operands: 2)
        let control = try options.control()
        let answer: JSONObject
        switch (options.operands.first, options.operands.count) {
        case ("list", 1): answer = try control.call("GET", "/admin/keys")
        case ("rotate", 1): answer = try control.call("POST", "/admin/keys/rotate", JSONObject())
        case ("revoke", 2): answer = try control.call("POST", "/admin/keys/\(pathSegment(options.operands[1]))/revoke", JSONObject())
        default: throw UsageError(usage)
        }
        let rows = (answer["keys"]?.array ?? []).compactMap(\.object).map { key in
            [
                key["kid"]?.string ?? "", key["alg"]?.string ?? "", key["state"]?.string ?? "", timeText(key["published_at"]?.int),
                timeText(key["activated_at"]?.int), timeText(key["published_until"]?.int),
            ]
        }
        Terminal.out(table([["KEY", "ALGORITHM", "STATE", "PUBLISHED", "ACTIVE SINCE", "PUBLISHED UNTIL"]] + rows))
        return 0
    }
}

/// `gatehouse node list`
enum NodeCommand {
    static let usage = "list"

    static func run(_ arguments: [String]) async throws -> Int32 {
        let options = try Options(arguments, operands: 1)
        guard options.operands == ["list"] else { throw UsageError(usage) }
        let answer = try options.control().call("GET", "/admin/nodes")
        let rows = (answer["nodes"]?.array ?? []).compactMap(\.object).map { node in
            [
                node["name"]?.string ?? "", node["live"]?.bool == true ? "live" : "gone", node["version"]?.string ?? "",
                timeText(node["started_at"]?.int), timeText(node["seen_at"]?.int), "\(node["clock_ahead_ms"]?.int ?? 0) ms",
                node["keys_version"]?.int.map(String.init) ?? "", node["id"]?.string ?? "",
            ]
        }
        Terminal.out(table([["NODE", "STATE", "VERSION", "STARTED", "SEEN", "CLOCK AHEAD", "KEYS", "ID"]] + rows))
        return 0
    }
}

/// `gatehouse token explain TOKEN`
enum TokenCommand {
    static func run(_ arguments: [String]) async throws -> Int32 {
        let options = try Options(arguments, options: ["--audience", "--scope"], operands: 2)
        guard options.operands.first == "explain" else { throw UsageError("explain TOKEN; - reads it from standard input") }
        guard let token = options.operands.count == 2 && options.operands[1] != "-" ? options.operands[1] : readLine() else {
            throw UsageError("give the token")
        }
        var body = JSONObject([("token", .string(token))])
        if let audience = options.value("--audience") { body["audience"] = .string(audience) }
        if let scope = options.value("--scope") { body["scope"] = .string(scope) }
        let answer = try options.control().call("POST", "/admin/token/explain", body)
        let checks = (answer["checks"]?.array ?? []).compactMap(\.object)
        let rows = checks.map { check in
            [
                check["passed"]?.bool == true ? "ok" : "FAILED", check["check"]?.string ?? check["name"]?.string ?? "",
                "expected \(check["expected"]?.string ?? "-")", "found \(check["found"]?.string ?? "-")",
            ]
        }
        Terminal.out(table(rows))
        let isValid = answer["valid"]?.bool == true
        Terminal.out(isValid ? "\nThe token is valid." : "\nThe token is refused: \(answer["reason"]?.string ?? "unknown").")
        return isValid ? 0 : 1
    }
}

/// `gatehouse apply`
enum ApplyCommand {
    static func run(_ arguments: [String]) async throws -> Int32 {
        let options = try Options(arguments, options: ["-f"], flags: ["--dry-run", "--prune"])
        let paths = options.all("-f")
        guard !paths.isEmpty else { throw UsageError("name the files: -f FILE…") }
        var files: [JSONValue] = []
        for path in paths {
            let content: [UInt8]
            do { content = try Files.read(path) } catch { throw UsageError("\(path): \(error)") }
            guard let text = String(validating: content, as: UTF8.self) else { throw UsageError("\(path) is not UTF-8") }
            files.append(.object(JSONObject([("path", .string(path)), ("content", .string(text))])))
        }
        let control = try options.control()
        func call(dryRun: Bool) throws -> JSONObject {
            try control.call(
                "POST", "/admin/apply",
                JSONObject([("files", .array(files)), ("dry_run", .bool(dryRun)), ("prune", .bool(options.has("--prune")))])
            )
        }
        // The difference is printed before anything is changed.
        let difference = try call(dryRun: true)
        let text = difference["text"]?.string ?? ""
        Terminal.out(text.isEmpty ? "nothing to change" : String(text.dropLast(text.hasSuffix("\n") ? 1 : 0)))
        if options.has("--dry-run") { return 0 }
        let applied = try call(dryRun: false)
        if !text.isEmpty { Terminal.out("applied \(applied["changes"]?.int ?? 0) changes") }
        return 0
    }
}
