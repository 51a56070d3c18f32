import Accounts
import AuthCore
import OAuthServer
import Settings
import Store
import WebServer

/// Brings the store to what resource files say.
struct ResourceLoader: Sendable {
    let settings: ServerSettings
    let store: any Store
    let hashing: PasswordHashing
    let secrets: ClientSecrets
    let environment: Environment

    enum Failure: Error {
        case faulty([String])
        case store(StoreError)
    }

    /// Reads the files of the settings. - Throws: `.faulty` when one cannot be read.
    func files() throws(Failure) -> [ResourceFile] {
        var files: [ResourceFile] = []
        for path in settings.applyFiles {
            do { files.append(ResourceFile(path: path, bytes: try Files.read(path))) } catch {
                throw .faulty(["\(path): cannot be read: \(error)"])
            }
        }
        return files
    }

    /// Whether these files are what was applied last: then nothing is to be done.
    func isApplied(_ files: [ResourceFile]) async throws(Failure) -> Bool {
        do { return try await store.appliedDigest() == ResourceFile.digest(files) } catch { throw .store(error) }
    }

    /// Whether any files were applied before.
    func wasApplied() async throws(Failure) -> Bool {
        do { return try await store.appliedDigest() != nil } catch { throw .store(error) }
    }

    /// - Returns: What was changed, or would be for a dry run, and warnings.
    func apply(
        _ files: [ResourceFile], prune: Bool, dryRun: Bool, traceID: String
    ) async throws(Failure) -> (changes: [ResourceChange], warnings: [String]) {
        let context = ResourceContext(issuer: settings.issuer, environment: ProcessEnvironment.all) { path in try Files.read(path) }
        let reading: ResourceReading
        switch ResourceFile.read(files, context: context) {
        case .success(let read): reading = read
        case .failure(let problems): throw .faulty(problems.list.map(\.description))
        }
        let warnings = reading.warnings.map(\.description)
        do throws(StoreError) {
            if dryRun { return (try await store.difference(to: reading.document, prune: prune), warnings) }
        } catch { throw .store(error) }
        let request = try await prepare(reading.document, prune: prune, digest: ResourceFile.digest(files))
        let event = AuditEvent(.resourcesApplied, at: environment.now(), source: "operator", traceID: traceID)
        let outcome: ApplyOutcome
        do { outcome = try await store.apply(request, event: event) } catch { throw .store(error) }
        switch outcome {
        case .applied(let changes): return (changes, warnings)
        case .conflict(let conflicts): throw .faulty(conflicts)
        }
    }

    /// Everything that takes time is done before the transaction: passwords are hashed for new accounts alone.
    private func prepare(_ document: ResourceDocument, prune: Bool, digest: [UInt8]) async throws(Failure) -> ApplyRequest {
        var request = ApplyRequest(
            wanted: document, prune: prune, passwordHashes: [:], secretHashes: [:], canonicalNames: [:], digest: digest
        )
        for client in document.clients {
            if let secret = client.secret { request.secretHashes[client.id] = secrets.kept(secret, of: client) }
        }
        for user in document.users {
            let names: AccountNames
            do { names = try AccountNames(username: user.username, email: user.email) } catch {
                throw .faulty(["user \(user.username): the user name or e-mail address is not allowed (\(error.rawValue))"])
            }
            request.canonicalNames[Identifier(user.username)] = (names.username, names.email)
            let existing: Account?
            do { existing = try await store.account(canonicalName: names.username, canonicalEmail: nil) } catch { throw .store(error) }
            if existing != nil { continue }
            if let hash = user.passwordHash {
                guard PasswordHashing.isImportable(hash) else {
                    throw .faulty(["user \(user.username): password_hash has no known format"])
                }
                request.passwordHashes[names.username] = hash
            } else if let password = user.password {
                do {
                    request.passwordHashes[names.username] = try await hashing.hash(password, username: user.username, email: user.email)
                } catch {
                    throw .faulty(["user \(user.username): the password is refused: \(error)"])
                }
            }
        }
        return request
    }

    /// For the admin API.
    func answer(
        _ files: [(path: String, content: [UInt8])], prune: Bool, dryRun: Bool, traceID: String
    ) async -> AdminEndpoints.ApplyAnswer {
        do throws(Failure) {
            let result = try await apply(
                files.map { ResourceFile(path: $0.path, bytes: $0.content) }, prune: prune, dryRun: dryRun, traceID: traceID)
            return .applied(result.changes)
        } catch {
            switch error {
            case .faulty(let problems): return .faulty(problems)
            case .store(let error): return .failed(error)
            }
        }
    }
}
