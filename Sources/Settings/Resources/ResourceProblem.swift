/// One mistake in a resource file, or one warning.
package struct ResourceProblem: Error, Sendable, Equatable, CustomStringConvertible {
    package let place: Place
    /// Where in the document: `routes[2].require.scope`.
    package let path: String
    /// Never has any of a secret.
    package let message: String
    /// The known name that is nearest to one that is not.
    package var nearest: String?

    package var description: String {
        var text = "\(place): "
        if !path.isEmpty { text += Quoted.plain(path) + ": " }
        text += message
        if let nearest { text += "; the nearest known one is \(nearest)" }
        return text
    }
}

/// All mistakes of all files at once.
package struct ResourceProblems: Error, Sendable, CustomStringConvertible {
    package let list: [ResourceProblem]

    package var description: String { list.map(\.description).joined(separator: "\n") }
}
