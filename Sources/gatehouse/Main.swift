import Glibc

/// The program. Commands are in Commands/, one a file; this finds the one that is meant.
@main
enum Main {
    static func main() async {
        // A client that goes away must not end the server.
        signal(SIGPIPE, SIG_IGN)
        let arguments = Array(CommandLine.arguments.dropFirst())
        guard let name = arguments.first else {
            Terminal.out(Help.text)
            exit(2)
        }
        guard let command = commands.first(where: { $0.names.contains(name) }) else {
            Terminal.error("gatehouse: there is no command \"\(name)\". `gatehouse help` lists them")
            exit(2)
        }
        do {
            exit(try await command.run(Array(arguments.dropFirst())))
        } catch {
            LogWriter.flush()
            Terminal.error("gatehouse \(name): \(error)")
            exit(1)
        }
    }

    struct Command: Sendable {
        let names: [String]
        /// Behind the name, for help.
        let usage: String
        let summary: String
        let run: @Sendable (_ arguments: [String]) async throws -> Int32
    }

    static let commands: [Command] = [
        Command(names: ["serve"], usage: "[--config FILE] [--KEY VALUE …]", summary: "run the server", run: ServeCommand.run),
        Command(
            names: ["check-config"], usage: "[--config FILE]", summary: "check settings and resource files", run: CheckConfigCommand.run),
        Command(
            names: ["apply"], usage: "-f FILE… [--dry-run] [--prune]", summary: "bring the store to what the files say",
            run: ApplyCommand.run),
        Command(names: ["user"], usage: UserCommand.usage, summary: "people", run: UserCommand.run),
        Command(names: ["client"], usage: ClientCommand.usage, summary: "programs", run: ClientCommand.run),
        Command(names: ["session"], usage: SessionCommand.usage, summary: "sign-ins", run: SessionCommand.run),
        Command(names: ["key"], usage: KeyCommand.usage, summary: "signing keys", run: KeyCommand.run),
        Command(
            names: ["restored"], usage: RestoredCommand.usage,
            summary: "after a backup was restored: nothing that was revoked since is good again", run: RestoredCommand.run),
        Command(names: ["node"], usage: NodeCommand.usage, summary: "the servers that share a database", run: NodeCommand.run),
        Command(names: ["audit"], usage: "[--user NAME] [--limit N]", summary: "security events, newest first", run: AuditCommand.run),
        Command(
            names: ["token"], usage: "explain TOKEN [--audience A] [--scope S]", summary: "each check of a token, in order",
            run: TokenCommand.run),
        Command(
            names: ["migrate"], usage: "[--dry-run]", summary: "bring the schema of the store up to date, as serve does at its start",
            run: MigrateCommand.run),
        Command(
            names: ["export"], usage: "FILE", summary: "everything that is stored, in one file (SQLite: while no server runs)",
            run: ExportCommand.run),
        Command(names: ["import"], usage: "FILE", summary: "put an export into a store that is empty", run: ImportCommand.run),
        Command(
            names: ["verdict"], usage: "KIND [--resources FILE]", summary: "judge cases from standard input, offline",
            run: VerdictCommand.run),
        Command(
            names: ["tune-password-hashing"], usage: "[TARGET, default 250ms]", summary: "find Argon2id parameters for this machine",
            run: TuneCommand.run
        ),
        Command(names: ["docs"], usage: "configuration | errors", summary: "print a generated page", run: DocsCommand.run),
        Command(names: ["version", "--version"], usage: "", summary: "print the version", run: VersionCommand.run),
        Command(names: ["help", "--help", "-h"], usage: "", summary: "this list", run: Help.run),
    ]
}

/// What is printed for people and programs.
enum Terminal {
    static func out(_ text: String) { write(text + "\n", to: 1) }
    static func error(_ text: String) { write(text + "\n", to: 2) }

    private static func write(_ text: String, to descriptor: Int32) {
        var rest = Array(text.utf8)[...]
        while !rest.isEmpty {
            let written = rest.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
            if written <= 0 { return }
            rest = rest.dropFirst(written)
        }
    }
}

enum Help {
    static var text: String {
        var text = "gatehouse: authentication service and API gateway\n"
        for command in Main.commands { text += "\n  gatehouse \(command.names[0]) \(command.usage)\n      \(command.summary)\n" }
        text += "\nCommands that change or show what is stored speak with the running server through its control socket;"
        text += "\nmigrate, export and import open the store themselves."
        text += "\n--config FILE (or GATEHOUSE_CONFIG) names its settings."
        return text
    }

    static func run(_ arguments: [String]) async throws -> Int32 {
        Terminal.out(text)
        return 0
    }
}

enum VersionCommand {
    static let version = "0.1.0"

    static func run(_ arguments: [String]) async throws -> Int32 {
        Terminal.out("gatehouse \(version)")
        return 0
    }
}

/// A mistake in how a command was called.
struct UsageError: Error, CustomStringConvertible {
    let description: String

    init(_ description: String) { self.description = description }
}
