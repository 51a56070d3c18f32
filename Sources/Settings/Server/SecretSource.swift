internal import AuthCore

/// Why a file could not be read, as the caller of the loader says it.
package enum FileReadError: Error, Sendable, Equatable {
    case notFound
    /// For people: `permission denied`.
    case unreadable(String)
}

/// Gets the secrets behind `file:PATH` and `env:NAME`. Files and environment are parameters, so a test needs neither.
package struct SecretSource: Sendable {
    /// The longest secret, in bytes.
    package static let bytesMax = 65_536

    let environment: [String: String]
    let readFile: @Sendable (String) throws -> [UInt8]

    package init(environment: [String: String], readFile: @escaping @Sendable (String) throws -> [UInt8]) {
        self.environment = environment
        self.readFile = readFile
    }

    /// A secret as it was written.
    enum Reference: Sendable {
        case literal(Secret<String>)
        /// Relative to the file that names it.
        case file(String)
        case environment(String)

        init(_ text: String) {
            if let path = text.dropping(prefix: "file:") {
                self = .file(path)
            } else if let name = text.dropping(prefix: "env:") {
                self = .environment(name)
            } else {
                self = .literal(Secret(text))
            }
        }

        var isLiteral: Bool { if case .literal = self { true } else { false } }

        /// How it may be shown: where it is kept, or that it is one.
        func shown(base: String) -> String {
            switch self {
            case .literal(let secret): secret.description
            case .file(let path): "file:\(Quoted.plain(FilePath.resolve(path, base: base) ?? path))"
            case .environment(let name): "env:\(Quoted.plain(name))"
            }
        }
    }

    /// A secret that could not be had. The message never has any of it.
    struct Failure: Error {
        let message: String
        /// The path of a file that does not exist.
        var missingFile: String?
    }

    /// - Returns: The secret; of a file without the line end at its end.
    func secret(_ reference: Reference, base: String) throws(Failure) -> Secret<String> {
        switch reference {
        case .literal(let secret):
            guard !secret.exposed.isEmpty, isText(secret.exposed.utf8) else { throw Failure(message: "is empty or has control characters") }
            return secret
        case .environment(let name):
            guard let value = environment[name], !value.isEmpty else {
                throw Failure(message: "the environment variable \(Quoted.plain(name)) is not set or is empty")
            }
            guard isText(value.utf8) else {
                throw Failure(message: "the value of \(Quoted.plain(name)) has control characters or is too long")
            }
            return Secret(value)
        case .file(let path):
            guard let path = FilePath.resolve(path, base: base) else { throw Failure(message: "file: needs a path") }
            return Secret(try content(of: path))
        }
    }

    private func content(of path: String) throws(Failure) -> String {
        var bytes: [UInt8]
        do {
            bytes = try readFile(path)
        } catch FileReadError.notFound {
            throw Failure(message: "the file \(Quoted.plain(path)) does not exist", missingFile: path)
        } catch FileReadError.unreadable(let reason) {
            throw Failure(message: "the file \(Quoted.plain(path)) cannot be read: \(reason)")
        } catch {
            throw Failure(message: "the file \(Quoted.plain(path)) cannot be read")
        }
        if bytes.last == 0x0A { bytes.removeLast() }
        if bytes.last == 0x0D { bytes.removeLast() }
        guard !bytes.isEmpty, isText(bytes), let text = String(validating: bytes, as: UTF8.self) else {
            throw Failure(message: "the file \(Quoted.plain(path)) is empty, too long, or more than one line of UTF-8 text")
        }
        return text
    }

    private func isText(_ bytes: some Collection<UInt8>) -> Bool {
        bytes.count <= SecretSource.bytesMax && bytes.allSatisfy { $0 >= 0x20 && $0 != 0x7F }
    }
}
