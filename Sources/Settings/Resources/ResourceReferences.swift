internal import AuthCore
internal import Store

/// What the files declare, and what they refer to.
struct DeclaredNames {
    enum Kind { case scope, role, resource, client }

    struct Reference {
        let kind: Kind
        let name: Located<String>
        let path: String
    }

    var declared: [ResourceName: Place] = [:]
    /// Where each scope is owned.
    var scopes: [Identifier: Place] = [:]
    /// Where each pair of host and path is matched, and for which methods; an empty host for every host.
    var matches: [[Identifier]: [(methods: MatchedMethods, place: Place)]] = [:]
    var references: [Reference] = []

    mutating func refer(_ kind: Kind, _ name: Located<String>, _ path: String) {
        references.append(Reference(kind: kind, name: name, path: path))
    }

    func all(_ kind: ResourceName.Kind) -> [String] { declared.keys.filter { $0.kind == kind }.map(\.name).sorted().map(\.text) }
}

/// The methods that a route takes: those listed, `GET` with `HEAD`, or all.
struct MatchedMethods {
    private let listed: Set<Identifier>?

    /// - Parameter methods: As the route lists them; nothing for all.
    init(_ methods: [String]?) {
        listed = methods.map { methods in
            let names = Set(methods.map { Identifier($0) })
            return names.contains("GET") ? names.union(["HEAD"]) : names
        }
    }

    /// The methods that both take; nothing when there are none. Empty when both take all.
    func shared(with other: MatchedMethods) -> [Identifier]? {
        guard let mine = listed ?? other.listed else { return [] }
        let shared = mine.intersection(other.listed ?? mine)
        return shared.isEmpty ? nil : shared.sorted()
    }
}

extension ResourceReader {
    /// Looks up every name that something refers to. Called once, after all files.
    mutating func checkReferences() {
        let scopes = names.scopes.keys.sorted().map(\.text) + ResourceSyntax.builtInScopes
        let (roles, resources, clients) = (names.all(.role), names.all(.resource), names.all(.client))
        let known: [DeclaredNames.Kind: (what: String, all: [String], set: Set<Identifier>)] = [
            .scope: ("is a scope of no resource", scopes, identifiers(scopes)), .role: ("is no role", roles, identifiers(roles)),
            .resource: ("is no resource", resources, identifiers(resources)),
            .client: ("is no client of these files", clients, identifiers(clients)),
        ]
        for reference in names.references {
            guard let (what, all, set) = known[reference.kind], !set.contains(Identifier(reference.name.value)) else { continue }
            let message = "\(Quoted.text(reference.name.value)) \(what)"
            if reference.kind == .client {
                // Clients also come from the admin API, and then no file knows them.
                if reference.name.value.isSameBytes(as: ResourceSyntax.reservedName) { continue }
                warning(reference.name.place, reference.path, message)
            } else {
                problem(reference.name.place, reference.path, message, nearest: NearestName.of(reference.name.value, among: all))
            }
        }
    }

    private func identifiers(_ names: [String]) -> Set<Identifier> { Set(names.map { Identifier($0) }) }
}
