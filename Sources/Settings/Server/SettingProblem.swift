/// Where a value of the settings came from, lowest first.
package enum SettingOrigin: Sendable, Equatable, CustomStringConvertible {
    case defaultValue
    case file(Place)
    case environment(String)
    case commandLine

    package var description: String {
        switch self {
        case .defaultValue: "default"
        case .file(let place): place.description
        case .environment(let name): name
        case .commandLine: "command line"
        }
    }
}

/// One mistake in the settings, or one warning: everything that a person needs to mend it.
package struct SettingProblem: Error, Sendable, Equatable, CustomStringConvertible {
    /// As in the table or, when it is not known, as it was written.
    package var key: String?
    /// As it was written. Never set for a secret, and never for a key that is not known: it may be a misspelt secret.
    package var value: String?
    package var origin: SettingOrigin
    package var message: String
    /// What would be right: a range, a list of words, a form.
    package var allowed: String?
    /// The known key that is nearest to one that is not.
    package var nearest: String?

    package init(
        key: String?, value: String? = nil, origin: SettingOrigin, message: String, allowed: String? = nil, nearest: String? = nil
    ) {
        self.key = key
        self.value = value
        self.origin = origin
        self.message = message
        self.allowed = allowed
        self.nearest = nearest
    }

    package var description: String {
        var text = "\(origin): "
        if let key { text += Quoted.plain(key) + ": " }
        if let value { text += Quoted.text(value) + " " }
        text += message
        if let nearest { text += "; the nearest known one is \(nearest)" }
        if let allowed { text += " (allowed: \(allowed))" }
        return text
    }
}

/// All mistakes at once, in the order in which they were found.
package struct SettingProblems: Error, Sendable, CustomStringConvertible {
    package let list: [SettingProblem]

    package init(_ list: [SettingProblem]) { self.list = list }

    package var description: String { list.map(\.description).joined(separator: "\n") }
}
