internal import AuthCore

/// A value as it was written, before anything is read from it.
struct GivenSetting {
    enum Raw {
        /// A quoted text is never a truth value.
        case text(String, isQuoted: Bool)
        case list([(text: String, origin: SettingOrigin)])
    }

    let key: SettingKey
    let raw: Raw
    let origin: SettingOrigin
}

/// What one source gave.
struct GivenSettings {
    var values: [GivenSetting] = []
    var problems: [SettingProblem] = []
    var warnings: [SettingProblem] = []

    mutating func add(_ given: GivenSetting) {
        if let before = values.first(where: { $0.key.name.isSameBytes(as: given.key.name) }) {
            let message = before.origin == given.origin ? "is given twice" : "is given twice, before at \(before.origin)"
            problems.append(SettingProblem(key: given.key.name, origin: given.origin, message: message))
        } else {
            values.append(given)
        }
    }
}

/// The table of keys, with what the sources ask of it.
struct SettingTable {
    let keys: [SettingKey]

    func key(_ name: String) -> SettingKey? { keys.first { $0.name.isSameBytes(as: name) } }

    /// Whether `name` and a dot begin the name of a key.
    func isGroup(_ name: String) -> Bool { keys.contains { $0.name.utf8.starts(with: (name + ".").utf8) } }

    func nearest(_ name: String) -> String? { NearestName.of(name, among: keys.map(\.name)) }

    func unknown(_ name: String, _ origin: SettingOrigin, nearest: String?) -> SettingProblem {
        SettingProblem(key: name, origin: origin, message: "is no known setting", nearest: nearest)
    }

    /// Splits a list as the command line and the environment write it.
    func raw(_ text: String, _ key: SettingKey, _ origin: SettingOrigin) -> GivenSetting.Raw {
        guard key.isList else { return .text(text, isQuoted: false) }
        if text.isEmpty { return .list([]) }
        let parts = text.utf8.split(separator: UInt8(ascii: ","), omittingEmptySubsequences: false)
        return .list(
            parts.map { part in
                var part = part
                while part.first == 0x20 { part = part.dropFirst() }
                while part.last == 0x20 { part = part.dropLast() }
                return (String(Substring(part)), origin)
            }
        )
    }
}

extension SettingTable {
    /// `--key value`, `--key=value`, and `--key` alone for a flag. `--config FILE` names the settings file.
    func commandLine(_ arguments: [String]) -> (GivenSettings, configuration: String?) {
        var given = GivenSettings()
        var configuration: String?
        var rest = arguments[...]
        func problem(_ key: String?, _ message: String, nearest: String? = nil) {
            given.problems.append(SettingProblem(key: key, origin: .commandLine, message: message, nearest: nearest))
        }
        while let argument = rest.popFirst() {
            // What stands where no option can is not shown: it may be a secret that lost its option.
            guard let option = argument.dropping(prefix: "--"), !option.isEmpty else {
                problem(nil, "argument \(arguments.count - rest.count) belongs to no setting (settings are written --key value)")
                continue
            }
            let parts = option.utf8.split(separator: UInt8(ascii: "="), maxSplits: 1, omittingEmptySubsequences: false)
            let name = String(Substring(parts[0]))
            var value = parts.count == 2 ? String(Substring(parts[1])) : nil
            let key = self.key(name)
            if value == nil, let next = rest.first, next.dropping(prefix: "--") == nil,
                key?.kind != .flag || next.isSameBytes(as: "true") || next.isSameBytes(as: "false")
            {
                value = next
                rest = rest.dropFirst()
            }
            if name.isSameBytes(as: "config") {
                if let value, !value.isEmpty, configuration == nil {
                    configuration = value
                } else {
                    problem(name, "needs one file name, once")
                }
                continue
            }
            guard let key else {
                given.problems.append(unknown(name, .commandLine, nearest: NearestName.of(name, among: keys.map(\.name) + ["config"])))
                continue
            }
            if value == nil, key.kind == .flag { value = "true" }
            guard let value else {
                problem(name, "needs a value")
                continue
            }
            given.add(GivenSetting(key: key, raw: raw(value, key, .commandLine), origin: .commandLine))
        }
        return (given, configuration)
    }

    /// `GATEHOUSE_` and the key. Unknown names only warn: Kubernetes sets `GATEHOUSE_PORT` for a Service of that name.
    func environment(_ environment: [String: String]) -> (GivenSettings, configuration: String?) {
        var given = GivenSettings()
        var configuration: String?
        let names = keys.map(\.environmentName)
        for (name, value) in environment.sorted(by: { Identifier($0.key) < Identifier($1.key) }) {
            guard name.dropping(prefix: "GATEHOUSE_") != nil else { continue }
            let origin = SettingOrigin.environment(name)
            if name.isSameBytes(as: "GATEHOUSE_CONFIG") {
                configuration = value.isEmpty ? nil : value
            } else if let key = keys.first(where: { $0.environmentName.isSameBytes(as: name) }) {
                given.add(GivenSetting(key: key, raw: raw(value, key, origin), origin: origin))
            } else {
                given.warnings.append(
                    SettingProblem(
                        key: nil, origin: origin, message: "is no known setting and is ignored", nearest: NearestName.of(name, among: names)
                    )
                )
            }
        }
        return (given, configuration)
    }
}

extension SettingTable {
    func file(_ bytes: [UInt8], path: String) -> GivenSettings {
        var given = GivenSettings()
        do {
            guard let root = try YAMLReader.read(bytes, path: path), !root.isNull else { return given }
            guard case .mapping(let members) = root.content else {
                given.problems.append(SettingProblem(key: nil, origin: .file(root.place), message: "the settings must be keys with values"))
                return given
            }
            collect(members, prefix: "", into: &given)
        } catch {
            given.problems.append(SettingProblem(key: nil, origin: .file(error.place), message: error.message))
        }
        return given
    }

    private func collect(_ members: [YAMLNode.Member], prefix: String, into given: inout GivenSettings) {
        for member in members {
            let name = prefix + member.name
            if case .mapping(let inner) = member.value.content {
                if let key = key(name), key.kind == .listener {
                    // The long form of a listener: {address, tls}.
                    for part in inner where part.name.isSameBytes(as: "address") { give(key, part.value, at: part.place, to: &given) }
                    collect(inner.filter { !$0.name.isSameBytes(as: "address") }, prefix: name + ".", into: &given)
                } else if isGroup(name) {
                    collect(inner, prefix: name + ".", into: &given)
                } else if let key = key(name) {
                    let message = "is a mapping, where \(key.isList ? "a list" : "text") is expected"
                    given.problems.append(
                        SettingProblem(key: name, origin: .file(member.value.place), message: message, allowed: key.kind.allowed))
                } else {
                    given.problems.append(unknown(name, .file(member.place), nearest: nearestGroup(name)))
                }
            } else if let key = key(name) {
                give(key, member.value, at: member.place, to: &given)
            } else if isGroup(name) {
                let inside = keys.map(\.name).filter { $0.utf8.starts(with: (name + ".").utf8) }.joined(separator: ", ")
                let message = "is a group of settings and has no value of its own"
                given.problems.append(SettingProblem(key: name, origin: .file(member.place), message: message, allowed: inside))
            } else {
                given.problems.append(unknown(name, .file(member.place), nearest: nearest(name)))
            }
        }
    }

    private func nearestGroup(_ name: String) -> String? {
        var groups: [String] = []
        for key in keys {
            let parts = key.name.utf8.split(separator: UInt8(ascii: "."))
            for count in 1..<max(parts.count, 1) {
                groups.append(parts[..<count].map { String(Substring($0)) }.joined(separator: "."))
            }
        }
        return NearestName.of(name, among: keys.map(\.name) + groups)
    }

    private func give(_ key: SettingKey, _ node: YAMLNode, at place: Place, to given: inout GivenSettings) {
        func problem(_ node: YAMLNode, _ message: String) {
            given.problems.append(SettingProblem(key: key.name, origin: .file(node.place), message: message, allowed: key.kind.allowed))
        }
        switch (node.content, key.isList) {
        case (.null, _): problem(node, "has no value")
        case (.sequence(let elements), true):
            var texts: [(text: String, origin: SettingOrigin)] = []
            for element in elements {
                guard let text = element.text else {
                    problem(element, "has \(element.kindName), where text is expected")
                    continue
                }
                texts.append((text, .file(element.place)))
            }
            given.add(GivenSetting(key: key, raw: .list(texts), origin: .file(node.place)))
        case (.plain(let text), false): given.add(GivenSetting(key: key, raw: .text(text, isQuoted: false), origin: .file(node.place)))
        case (.quoted(let text), false): given.add(GivenSetting(key: key, raw: .text(text, isQuoted: true), origin: .file(node.place)))
        default: problem(node, "is \(node.kindName), where \(key.isList ? "a list" : "text") is expected")
        }
    }
}
