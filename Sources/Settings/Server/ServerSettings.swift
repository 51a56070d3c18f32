package import AuthCore
package import Store

/// The settings of one server, checked alone and against one another.
package struct ServerSettings: Sendable {
    package struct TLS: Sendable, Equatable {
        /// Paths of PEM files.
        package let certificate: String
        package let key: String
        package let clientCA: String?
        package let clientCertificates: ClientCertificates
    }

    /// Which certificates of clients are taken, by a listener or from a proxy.
    package enum ClientCertificates: String, Sendable { case none, verified, any }

    package struct Listener: Sendable, Equatable {
        package let address: ListenAddress
        package let tls: TLS?
    }

    package struct Listeners: Sendable, Equatable {
        package let auth: Listener
        /// Where certificates of clients are asked for, and no page is.
        package let authMTLS: Listener?
        package let gateway: Listener
        package let admin: Listener
        /// The path of the operator's socket.
        package let controlPath: String

        /// Certificates and their keys, which may be renewed while the server runs.
        package var certificateFiles: [String] {
            [auth, authMTLS, gateway, admin].compactMap { $0?.tls }.flatMap { [$0.certificate, $0.key] + ($0.clientCA.map { [$0] } ?? []) }
        }
    }

    package enum MasterKeys: Sendable {
        /// The first encrypts, all decrypt; each of 32 bytes, at least one.
        case keys([Secret<[UInt8]>])
        /// SQLite alone: the file does not exist. It is to be made (mode 0600) when the store has no content yet.
        case makeOnFirstStart(path: String)
    }

    package struct Tokens: Sendable, Equatable {
        package let accessTTL: Duration
        package let refreshTTL: Duration
        package let refreshReuseWindow: Duration
        package let refreshRetryMax: Duration
    }

    package struct Keys: Sendable, Equatable {
        package let rotateEvery: Duration
        package let jwksMaxAge: Duration
    }

    package struct Revocations: Sendable, Equatable {
        package let maxStaleness: Duration
        package let whenStale: WhenStale
    }

    package struct Logging: Sendable, Equatable {
        /// One line for people rather than JSON.
        package let isForPeople: Bool
        package let level: Log.Level
    }

    package struct Passwords: Sendable, Equatable {
        package let memoryKiB: Int
        package let iterations: Int
        package let parallelism: Int
        /// Nothing: one for each core.
        package let threads: Int?
        package let queueMax: Int
        package let lengthMin: Int
    }

    /// What one process does.
    package enum Role: String, Sendable, CaseIterable { case auth, gateway }

    /// Where a gateway without a database learns what it needs.
    package struct ControlPlane: Sendable {
        package struct Node: Sendable, Equatable {
            package let host: String
            package let port: UInt16
            package let isTLS: Bool
        }

        /// At least one.
        package let nodes: [Node]
        package let clientID: String
        package let clientSecret: Secret<String>
        /// A PEM file; nothing for the system's authorities.
        package let authorities: String?
    }

    package struct Lockout: Sendable, Equatable {
        package let freeAttempts: Int
        package let delay: Duration
        package let delayMax: Duration
        package let failuresMax: Int
    }

    package let issuer: Issuer
    /// `mtls_url`: where clients that show a certificate find their endpoints.
    package let mutualTLSOrigin: Issuer?
    package let roles: Set<Role>
    /// For the role `gateway` without `auth`, and only there.
    package let controlPlane: ControlPlane?
    package let listeners: Listeners
    package let storage: StorageLocation
    /// A connection URI for notifications, where `storage` cannot carry them.
    package let storageListen: Secret<String>?
    package let storageConnections: Int
    package let masterKeys: MasterKeys
    /// Paths of resource files.
    package let applyFiles: [String]
    package let tokens: Tokens
    package let keys: Keys
    package let revocations: Revocations
    /// Whether `/validate` asks for client credentials.
    package let validateRequiresClient: Bool
    package let trustedProxies: [AddressRange]
    /// What RFC 9440's fields from `trustedProxies` are worth.
    package let clientCertHeader: ClientCertificates
    package let auditKeep: Duration
    package let logging: Logging
    package let drain: Duration
    package let passwords: Passwords
    package let lockout: Lockout
    /// Every key with its value and source, those of other targets included.
    package let resolved: ResolvedSettings

    /// The settings in force with the source of each, secrets masked. For `gatehouse check-config`.
    package func renderedForPeople() -> String { resolved.renderedForPeople() }
}

/// What a command line, an environment and a file come to.
package struct LoadedSettings: Sendable {
    /// All mistakes at once when there is one.
    package let outcome: Result<ServerSettings, SettingProblems>
    /// Worth a line in the log; nothing is wrong.
    package let warnings: [SettingProblem]
}

extension ServerSettings {
    /// Reads the settings: command line over environment over file over default.
    ///
    /// `--config FILE`, or else `GATEHOUSE_CONFIG`, names the file; without one there is none. Relative paths are relative to
    /// that file, wherever they were written, or without one to the working directory.
    ///
    /// - Parameter arguments: Those behind the command, without its own options.
    /// - Parameter readFile: Throws `FileReadError`; bounds what it reads.
    /// - Parameter isTerminal: Whether the log goes to a terminal.
    /// - Parameter moreKeys: Of other targets; their values are in `resolved`.
    package static func load(
        arguments: [String],
        environment: [String: String],
        readFile: @escaping @Sendable (String) throws -> [UInt8],
        isTerminal: Bool,
        moreKeys: [SettingKey] = []
    ) -> LoadedSettings {
        let table = SettingTable(keys: ServerKeys.all + moreKeys)
        let (commandLine, argumentFile) = table.commandLine(arguments)
        let (variables, variableFile) = table.environment(environment)
        var sources = [commandLine, variables]
        if let path = argumentFile ?? variableFile {
            let origin = argumentFile == nil ? SettingOrigin.environment("GATEHOUSE_CONFIG") : .commandLine
            sources.append(file(path, table: table, namedBy: origin, readFile: readFile))
        }
        let base = FilePath.folder(of: argumentFile ?? variableFile ?? "")
        let secrets = SecretSource(environment: environment, readFile: readFile)
        var resolver = SettingResolver(table: table, secrets: secrets, base: base)
        let resolved = resolver.resolve(sources)
        var checks = ServerChecks(resolved: resolved, base: base, isTerminal: isTerminal)
        checks.problems = sources.flatMap(\.problems) + resolver.problems
        checks.warnings = sources.flatMap(\.warnings)
        let settings = checks.settings()
        let outcome: Result<ServerSettings, SettingProblems> =
            if let settings, checks.problems.isEmpty { .success(settings) } else { .failure(SettingProblems(checks.problems)) }
        return LoadedSettings(outcome: outcome, warnings: checks.warnings)
    }

    private static func file(
        _ path: String, table: SettingTable, namedBy origin: SettingOrigin, readFile: (String) throws -> [UInt8]
    ) -> GivenSettings {
        var reason = "cannot be read"
        do {
            return table.file(try readFile(path), path: path)
        } catch FileReadError.notFound {
            reason = "does not exist"
        } catch FileReadError.unreadable(let why) {
            reason = "cannot be read: \(why)"
        } catch {
            reason = "cannot be read"
        }
        return GivenSettings(problems: [SettingProblem(key: "config", value: path, origin: origin, message: reason)])
    }
}
