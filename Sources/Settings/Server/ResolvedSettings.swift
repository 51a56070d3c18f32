package import AuthCore

/// Every key with its value and where it came from.
package struct ResolvedSettings: Sendable {
    package struct Entry: Sendable {
        package let key: SettingKey
        /// Nothing when nobody gave one and there is no default.
        package var value: SettingValue?
        package let origin: SettingOrigin
        /// As people may read it: secrets are masked, `file:` and `env:` are not.
        package let shown: String
    }

    /// In the order of the table.
    package internal(set) var entries: [Entry]

    /// Whether a source gave the value, rather than the table.
    package func isGiven(_ name: String) -> Bool { entry(name).map { $0.origin != .defaultValue } ?? false }

    package func entry(_ name: String) -> Entry? { entries.first { $0.key.name.isSameBytes(as: name) } }

    package func optionalText(_ name: String) -> String? { if case .text(let value)? = entry(name)?.value { value } else { nil } }
    package func optionalFlag(_ name: String) -> Bool? { if case .flag(let value)? = entry(name)?.value { value } else { nil } }
    package func optionalInteger(_ name: String) -> Int64? { if case .integer(let value)? = entry(name)?.value { value } else { nil } }

    /// Of `text`, `choice`, `url` and `path`.
    ///
    /// - Throws: Here as below, when the table has no such key of that kind, or it has neither value nor default.
    package func text(_ name: String) throws(SettingProblem) -> String { try present(name, optionalText(name)) }
    package func flag(_ name: String) throws(SettingProblem) -> Bool { try present(name, optionalFlag(name)) }
    package func integer(_ name: String) throws(SettingProblem) -> Int64 { try present(name, optionalInteger(name)) }

    package func duration(_ name: String) throws(SettingProblem) -> Duration {
        if case .duration(let value)? = entry(name)?.value { return value }
        return try present(name, nil)
    }

    /// In bytes.
    package func size(_ name: String) throws(SettingProblem) -> Int64 {
        if case .size(let value)? = entry(name)?.value { return value }
        return try present(name, nil)
    }

    package func listener(_ name: String) throws(SettingProblem) -> ListenAddress {
        if case .listener(let value)? = entry(name)?.value { return value }
        return try present(name, nil)
    }

    package func secret(_ name: String) throws(SettingProblem) -> Secret<String> {
        if case .secret(let value)? = entry(name)?.value { return value }
        return try present(name, nil)
    }

    /// Empty when nobody gave one.
    package func list(_ name: String) -> [SettingValue] { if case .list(let values)? = entry(name)?.value { values } else { [] } }

    package func texts(_ name: String) -> [String] {
        list(name).compactMap { if case .text(let text) = $0 { text } else { nil } }
    }

    private func present<Value>(_ name: String, _ value: Value?) throws(SettingProblem) -> Value {
        guard let value else { throw SettingProblem(key: name, origin: entry(name)?.origin ?? .defaultValue, message: "has no value") }
        return value
    }

    /// A line for each key: name, value, and where it came from. For `gatehouse check-config`.
    package func renderedForPeople() -> String {
        let width = entries.map(\.key.name.utf8.count).max() ?? 0
        return entries.map { entry in
            let gap = String(repeating: " ", count: width - entry.key.name.utf8.count)
            return "\(entry.key.name)\(gap) = \(entry.shown)  (\(entry.origin))\n"
        }.joined()
    }
}

/// Brings the sources together: command line over environment over file over default.
struct SettingResolver {
    let table: SettingTable
    let secrets: SecretSource
    let base: String
    var problems: [SettingProblem] = []

    init(table: SettingTable, secrets: SecretSource, base: String) {
        self.table = table
        self.secrets = secrets
        self.base = base
    }

    /// - Parameter sources: The highest first. A mistake in a value that a higher source overrides is a mistake all the same.
    mutating func resolve(_ sources: [GivenSettings]) -> ResolvedSettings {
        var entries: [ResolvedSettings.Entry] = []
        for key in table.keys {
            let given = sources.compactMap { $0.values.first { $0.key.name.isSameBytes(as: key.name) } }
            var found: ResolvedSettings.Entry?
            for setting in given {
                let entry = self.entry(setting)
                if found == nil { found = entry }
            }
            if given.isEmpty, let text = key.defaultText {
                let raw = table.raw(text, key, .defaultValue)
                found = entry(GivenSetting(key: key, raw: raw, origin: .defaultValue))
            }
            entries.append(found ?? ResolvedSettings.Entry(key: key, value: nil, origin: .defaultValue, shown: "(none)"))
        }
        return ResolvedSettings(entries: entries)
    }

    private mutating func entry(_ given: GivenSetting) -> ResolvedSettings.Entry {
        let (key, origin) = (given.key, given.origin)
        switch given.raw {
        case .text(let text, let isQuoted):
            let (value, shown) = one(text, isQuoted: isQuoted, key, key.kind, origin)
            return ResolvedSettings.Entry(key: key, value: value, origin: origin, shown: shown)
        case .list(let elements):
            guard case .list(let kind) = key.kind else {
                return ResolvedSettings.Entry(key: key, value: nil, origin: origin, shown: "(none)")
            }
            var values: [SettingValue] = []
            var shown: [String] = []
            for element in elements {
                let (value, text) = one(element.text, isQuoted: false, key, kind, element.origin)
                if let value { values.append(value) }
                shown.append(text)
            }
            let text = "[\(shown.joined(separator: ", "))]"
            return ResolvedSettings.Entry(key: key, value: .list(values), origin: origin, shown: text)
        }
    }

    private mutating func one(
        _ text: String, isQuoted: Bool, _ key: SettingKey, _ kind: SettingKey.Kind, _ origin: SettingOrigin
    ) -> (SettingValue?, shown: String) {
        if kind == .secret { return secret(text, key, origin) }
        let shown = Quoted.plain(text)
        if kind == .flag, isQuoted {
            let message = "is text in quotes, where true or false is expected"
            problems.append(SettingProblem(key: key.name, value: text, origin: origin, message: message, allowed: kind.allowed))
            return (nil, shown)
        }
        do {
            let value = try SettingReader(base: base).value(text, kind)
            switch value {
            case .listener(let address): return (value, Quoted.plain(address.description))
            case .text(let path) where kind == .path: return (value, Quoted.plain(path))
            default: return (value, shown)
            }
        } catch {
            problems.append(SettingProblem(key: key.name, value: text, origin: origin, message: error.message, allowed: kind.allowed))
            return (nil, shown)
        }
    }

    private mutating func secret(_ text: String, _ key: SettingKey, _ origin: SettingOrigin) -> (SettingValue?, shown: String) {
        let reference = SecretSource.Reference(text)
        let isStorage = key.name.isSameBytes(as: ServerKeys.storage.name)
        do {
            let secret = try secrets.secret(reference, base: base)
            let shown = isStorage && reference.isLiteral ? StorageLocation.shown(secret.exposed, base: base) : reference.shown(base: base)
            // Every user of the machine can read the arguments of a process (ASVS 13.3).
            let isOnCommandLine = origin == .commandLine && reference.isLiteral
            if isOnCommandLine, !isStorage || StorageLocation.hasPassword(secret.exposed) {
                let message = "is a secret in clear on the command line, where every user of the machine can read it"
                problems.append(SettingProblem(key: key.name, origin: origin, message: message, allowed: "file:PATH or env:NAME"))
            }
            return (.secret(secret), shown)
        } catch {
            if let path = error.missingFile, key.name.isSameBytes(as: ServerKeys.masterKeys.name) {
                return (.absentFile(path), reference.shown(base: base))
            }
            problems.append(SettingProblem(key: key.name, origin: origin, message: error.message))
            return (nil, reference.shown(base: base))
        }
    }
}
