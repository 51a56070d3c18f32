internal import AuthCore
package import Store

/// A file of resources as it was read.
package struct ResourceFile: Sendable {
    package let path: String
    package let bytes: [UInt8]

    package init(path: String, bytes: [UInt8]) {
        self.path = path
        self.bytes = bytes
    }

    /// SHA-256 over the bytes of the files, each behind its length: what is kept of the last apply.
    ///
    /// It covers neither the files' names nor what `file:` and `env:` name; secrets are initial and change nothing later.
    package static func digest(_ files: [ResourceFile]) -> [UInt8] {
        var all: [UInt8] = []
        for file in files {
            withUnsafeBytes(of: UInt64(file.bytes.count).bigEndian) { all.append(contentsOf: $0) }
            all.append(contentsOf: file.bytes)
        }
        return TokenHash(of: all).bytes
    }

    /// Reads and checks all files together; they count as one document.
    ///
    /// JSON is read as well, being YAML.
    ///
    /// - Returns: The document with its warnings, or every mistake of every file.
    package static func read(_ files: [ResourceFile], context: ResourceContext) -> Result<ResourceReading, ResourceProblems> {
        var reader = ResourceReader(context: context)
        for (index, file) in files.enumerated() {
            guard index < ResourceLimits.filesMax else {
                let place = Place(file: file.path, line: 1, column: 1)
                reader.problem(place, "", "more than \(ResourceLimits.filesMax) files")
                break
            }
            reader.read(file)
        }
        reader.checkReferences()
        guard reader.problems.isEmpty else { return .failure(ResourceProblems(list: reader.problems)) }
        return .success(ResourceReading(document: reader.document, warnings: reader.warnings))
    }
}

/// What reading resources depends on besides the files.
package struct ResourceContext: Sendable {
    /// No resource may have the issuer's name: a token without scopes has it as its audience.
    package let issuer: Issuer
    let secrets: SecretSource

    package init(issuer: Issuer, environment: [String: String], readFile: @escaping @Sendable (String) throws -> [UInt8]) {
        self.issuer = issuer
        self.secrets = SecretSource(environment: environment, readFile: readFile)
    }
}

package struct ResourceReading: Sendable {
    package let document: ResourceDocument
    /// Nothing is wrong, but somebody should know.
    package let warnings: [ResourceProblem]
}
