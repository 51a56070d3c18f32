package import AuthCore

/// One step that brings the store to what files say.
package struct ResourceChange: Sendable, Equatable {
    package enum Kind: String, Sendable { case create, update, enable, disable, delete }

    /// A field whose value differs; nothing on the left or the right when it is not set there.
    package struct Detail: Sendable, Equatable {
        package let field: String
        package let old: String?
        package let new: String?

        package init(field: String, old: String?, new: String?) {
            self.field = field
            self.old = old
            self.new = new
        }
    }

    package let kind: Kind
    package let resource: ResourceName
    /// What differs; empty but for `update` and `enable`.
    package let details: [Detail]

    package init(kind: Kind, resource: ResourceName, details: [Detail] = []) {
        self.kind = kind
        self.resource = resource
        self.details = details
    }
}

/// What kind of thing, and which: `client billing`.
package struct ResourceName: Sendable, Hashable, CustomStringConvertible {
    /// In the order in which they may be brought into being: each rests only on those before it.
    package enum Kind: String, Sendable, CaseIterable { case resource, role, user, client, route }

    package let kind: Kind
    package let name: Identifier

    package init(_ kind: Kind, _ name: Identifier) {
        self.kind = kind
        self.name = name
    }

    package var description: String { "\(kind.rawValue) \(name)" }
}

/// What `apply` would do, as values and as lines to read. No secret ever appears: none is compared.
package enum ResourceDifference {
    /// The steps from `stored` to `wanted`.
    ///
    /// What comes into being or changes stands first, in the order of `ResourceName.Kind`; what goes follows in the reverse
    /// order; within a kind by the bytes of the name. Lists are compared without regard to order.
    ///
    /// - Parameter stored: What files brought into being, the disabled included.
    /// - Parameter disabled: Those of `stored` that are disabled.
    /// - Parameter prune: Whether what vanished from the files is deleted rather than disabled.
    package static func between(
        stored: ResourceDocument, wanted: ResourceDocument, prune: Bool, disabled: Set<ResourceName> = []
    ) -> [ResourceChange] {
        let (old, new) = (definitions(of: stored), definitions(of: wanted))
        var changes: [ResourceChange] = []
        for resource in sorted(new.keys) {
            guard let newFields = new[resource] else { continue }
            guard let oldFields = old[resource] else {
                changes.append(ResourceChange(kind: .create, resource: resource))
                continue
            }
            let details = difference(oldFields, newFields)
            if disabled.contains(resource) {
                changes.append(ResourceChange(kind: .enable, resource: resource, details: details))
            } else if !details.isEmpty {
                changes.append(ResourceChange(kind: .update, resource: resource, details: details))
            }
        }
        for resource in sorted(old.keys).reversed() where new[resource] == nil {
            if prune {
                changes.append(ResourceChange(kind: .delete, resource: resource))
            } else if !disabled.contains(resource) {
                changes.append(ResourceChange(kind: .disable, resource: resource))
            }
        }
        return changes
    }

    /// A line for each change: `+ client billing`, `~ route orders: scope orders:read → orders:write`,
    /// `- client web (disabled)`.
    package static func render(_ changes: [ResourceChange]) -> String { changes.map { line($0) + "\n" }.joined() }

    private static func line(_ change: ResourceChange) -> String {
        let details = change.details.map { "\($0.field) \($0.old ?? "(none)") → \($0.new ?? "(none)")" }.joined(separator: "; ")
        let suffix = details.isEmpty ? "" : ": \(details)"
        return switch change.kind {
        case .create: "+ \(change.resource)"
        case .update: "~ \(change.resource)\(suffix)"
        case .enable: "+ \(change.resource) (enabled again)\(suffix)"
        case .disable: "- \(change.resource) (disabled)"
        case .delete: "- \(change.resource) (deleted)"
        }
    }

    private static func sorted(_ names: some Sequence<ResourceName>) -> [ResourceName] {
        let kinds = ResourceName.Kind.allCases
        return names.sorted { left, right in
            let (leftKind, rightKind) = (kinds.firstIndex(of: left.kind) ?? 0, kinds.firstIndex(of: right.kind) ?? 0)
            return leftKind == rightKind ? left.name < right.name : leftKind < rightKind
        }
    }

    private typealias Fields = [(name: String, text: String)]

    private static func definitions(of document: ResourceDocument) -> [ResourceName: Fields] {
        var all: [ResourceName: Fields] = [:]
        for value in document.resources { all[ResourceName(.resource, value.id)] = fields(ResourceJSON.encode(value)) }
        for value in document.roles { all[ResourceName(.role, value.name)] = fields(ResourceJSON.encode(value)) }
        for value in document.users { all[ResourceName(.user, Identifier(value.username))] = fields(ResourceJSON.encode(value)) }
        for value in document.clients { all[ResourceName(.client, value.id)] = fields(ResourceJSON.encode(value)) }
        for value in document.routes { all[ResourceName(.route, Identifier(value.name))] = fields(ResourceJSON.encode(value)) }
        return all
    }

    /// The leaves of a definition by name. Names of leaves are unique within one, whatever they stand under.
    private static func fields(_ value: JSONValue) -> Fields {
        guard let object = value.object else { return [] }
        var fields: Fields = []
        for (name, value) in object {
            switch value {
            case .object: fields += self.fields(value)
            case .array(let elements):
                let texts = elements.compactMap(\.string).map { Identifier($0) }.sorted().map(\.text)
                if !texts.isEmpty { fields.append((name, texts.joined(separator: ", "))) }
            case .string(let text): fields.append((name, text))
            case .bool(let flag): fields.append((name, flag ? "true" : "false"))
            case .number(let number): fields.append((name, number.text))
            case .null: break
            }
        }
        return fields
    }

    private static func difference(_ old: Fields, _ new: Fields) -> [ResourceChange.Detail] {
        var details: [ResourceChange.Detail] = []
        for (name, text) in new {
            let before = old.first { $0.name.isSameBytes(as: name) }?.text
            if let before, before.isSameBytes(as: text) { continue }
            details.append(ResourceChange.Detail(field: name, old: before, new: text))
        }
        for (name, text) in old where !new.contains(where: { $0.name.isSameBytes(as: name) }) {
            details.append(ResourceChange.Detail(field: name, old: text, new: nil))
        }
        return details
    }
}
