internal import AuthCore
internal import Store

/// A value and where it stands.
struct Located<Value> {
    let value: Value
    let place: Place
}

/// The members of one mapping whose names are all known.
struct ResourceFields {
    let members: [YAMLNode.Member]
    /// Where the mapping begins.
    let place: Place
    /// Where in the document: `routes[2]`.
    let path: String

    func node(_ name: String) -> YAMLNode? { members.first { $0.name.isSameBytes(as: name) }?.value }
    func path(_ name: String) -> String { path.isEmpty ? name : "\(path).\(name)" }
}

/// Collects the definitions of all files, with every mistake.
struct ResourceReader {
    let context: ResourceContext
    var document = ResourceDocument()
    var problems: [ResourceProblem] = []
    var warnings: [ResourceProblem] = []
    /// The folder of the file being read.
    var base = ""
    var names = DeclaredNames()

    init(context: ResourceContext) { self.context = context }

    mutating func problem(_ place: Place, _ path: String, _ message: String, nearest: String? = nil) {
        if problems.count < ResourceLimits.problemsMax {
            problems.append(ResourceProblem(place: place, path: path, message: message, nearest: nearest))
        } else if problems.count == ResourceLimits.problemsMax {
            problems.append(ResourceProblem(place: place, path: path, message: "further mistakes are not shown"))
        }
    }

    mutating func warning(_ place: Place, _ path: String, _ message: String) {
        if warnings.count < ResourceLimits.problemsMax { warnings.append(ResourceProblem(place: place, path: path, message: message)) }
    }

    mutating func read(_ file: ResourceFile) {
        base = FilePath.folder(of: file.path)
        do {
            guard let root = try YAMLReader.read(file.bytes, path: file.path), !root.isNull else {
                // With --prune an emptied file would delete everything: nobody shall do that by a slip.
                problem(Place(file: file.path, line: 1, column: 1), "", "the file is empty; to want nothing, write users: []")
                return
            }
            guard let fields = fields(root, ResourceKeys.document, "") else { return }
            for (index, node) in elements(fields, "resources").enumerated() { resource(node, "resources[\(index)]") }
            roles(fields)
            for (index, node) in elements(fields, "clients").enumerated() { client(node, "clients[\(index)]") }
            for (index, node) in elements(fields, "users").enumerated() { user(node, "users[\(index)]") }
            for (index, node) in elements(fields, "routes").enumerated() { route(node, "routes[\(index)]") }
            if let first = elements(fields, "providers").first {
                problem(first.place, "providers", "this version has no identity providers yet; the list must be empty")
            }
        } catch {
            problem(error.place, "", error.message)
        }
    }

    private mutating func resource(_ node: YAMLNode, _ path: String) {
        guard let fields = fields(node, ResourceKeys.resource, path) else { return }
        let id = name(fields, "id", ResourceSyntax.identifierFault)
        if let id, id.value.isSameBytes(as: context.issuer.text) {
            problem(id.place, fields.path("id"), "is the issuer, which is the audience of tokens without scopes")
        }
        var resource = ResourceDefinition(id: Identifier(id?.value ?? ""))
        var scopes: [Identifier] = []
        for scope in list(fields, "scopes", ResourceSyntax.scopeFault) {
            let name = Identifier(scope.value)
            if ResourceSyntax.builtInScopes.contains(where: { $0.isSameBytes(as: scope.value) })
                || scope.value.utf8.starts(with: ResourceSyntax.reservedScopePrefix.utf8)
            {
                problem(scope.place, fields.path("scopes"), "\(Quoted.text(scope.value)) is a scope of Gatehouse's own")
            } else if let owner = names.scopes[name] {
                problem(
                    scope.place, fields.path("scopes"),
                    "the scope \(Quoted.text(scope.value)) belongs to one resource only, and has one at \(owner)"
                )
            } else {
                names.scopes[name] = scope.place
            }
            scopes.append(name)
        }
        resource.scopes = ScopeSet(scopes)
        resource.wantsRoles = flag(fields, "include_roles") ?? false
        if let node = fields.node("claims") { claims(node, fields.path("claims"), &resource) }
        resource.name = checked(text(fields, "name"), fields.path("name"), ClientFields.displayFault)?.value
        resource.scopeDescriptions = descriptions(fields, of: scopes)
        if let id, declare(.resource, id, fields.path("id")) { document.resources.append(resource) }
    }

    private mutating func claims(_ node: YAMLNode, _ path: String, _ resource: inout ResourceDefinition) {
        guard let object = node.json(.object)?.object else {
            problem(node.place, path, "is \(node.kindName), where a mapping of claim to rule is expected")
            return
        }
        do { resource.claims = try ClaimRules(object) } catch { problem(node.place, path, error.text) }
    }

    /// What people read of its scopes.
    private mutating func descriptions(_ fields: ResourceFields, of scopes: [Identifier]) -> [Identifier: String] {
        guard let node = fields.node("scope_descriptions") else { return [:] }
        let path = fields.path("scope_descriptions")
        guard case .mapping(let members) = node.content else {
            problem(node.place, path, "is \(node.kindName), where scopes with texts are expected")
            return [:]
        }
        var described: [Identifier: String] = [:]
        for member in members {
            let inner = ResourceFields(members: [member], place: member.place, path: path)
            guard scopes.contains(Identifier(member.name)) else {
                problem(
                    member.place, inner.path(member.name), "is none of its scopes",
                    nearest: NearestName.of(member.name, among: scopes.map(\.text)))
                continue
            }
            guard let text = checked(text(inner, member.name), inner.path(member.name), ClientFields.displayFault) else { continue }
            described[Identifier(member.name)] = text.value
        }
        return described
    }

    private mutating func roles(_ fields: ResourceFields) {
        guard let node = fields.node("roles") else { return }
        guard case .mapping(let members) = node.content else {
            problem(node.place, "roles", "is \(node.kindName), where role names with lists of scopes are expected")
            return
        }
        for member in members {
            let path = "roles.\(member.name)"
            if let fault = ResourceSyntax.labelFault(member.name) {
                problem(member.place, path, "the name \(fault)")
                continue
            }
            let inner = ResourceFields(members: [member], place: member.place, path: "roles")
            var role = RoleDefinition(name: Identifier(member.name))
            role.scopes = ScopeSet(scopes(inner, member.name, orOne: false))
            if declare(.role, Located(value: member.name, place: member.place), path) { document.roles.append(role) }
        }
    }
}

/// Single values. Each names what is wrong and answers with what is right.
extension ResourceReader {
    /// The members of a mapping, after a check of their names; nothing when it is none.
    mutating func fields(_ node: YAMLNode, _ keys: [ResourceKey], _ path: String) -> ResourceFields? {
        guard case .mapping(let members) = node.content else {
            problem(node.place, path, "is \(node.kindName), where a mapping is expected")
            return nil
        }
        let fields = ResourceFields(members: members, place: node.place, path: path)
        for member in members where !keys.contains(where: { $0.name.isSameBytes(as: member.name) }) {
            problem(
                member.place, fields.path(member.name), "is no known key", nearest: NearestName.of(member.name, among: keys.map(\.name)))
        }
        return fields
    }

    /// The elements of a list of definitions.
    mutating func elements(_ fields: ResourceFields, _ name: String) -> [YAMLNode] {
        guard let node = fields.node(name) else { return [] }
        guard case .sequence(let elements) = node.content else {
            problem(
                node.place, fields.path(name),
                node.isNull ? "has no value; an empty list is []" : "is \(node.kindName), where a list is expected")
            return []
        }
        if elements.count > ResourceLimits.definitionsMax {
            problem(node.place, fields.path(name), "has more than \(ResourceLimits.definitionsMax) elements")
            return []
        }
        return elements
    }

    mutating func text(_ fields: ResourceFields, _ name: String) -> Located<String>? {
        guard let node = fields.node(name) else { return nil }
        guard let text = node.text else {
            problem(node.place, fields.path(name), node.isNull ? "has no value" : "is \(node.kindName), where text is expected")
            return nil
        }
        return Located(value: text, place: node.place)
    }

    /// A text that must be there and have a form.
    mutating func name(_ fields: ResourceFields, _ name: String, _ fault: (String) -> String?) -> Located<String>? {
        guard fields.node(name) != nil else {
            problem(fields.place, fields.path(name), "is missing")
            return nil
        }
        return checked(text(fields, name), fields.path(name), fault)
    }

    mutating func checked(_ text: Located<String>?, _ path: String, _ fault: (String) -> String?) -> Located<String>? {
        guard let text else { return nil }
        if let message = text.value.isEmpty ? "is empty" : fault(text.value) {
            problem(text.place, path, "\(Quoted.text(text.value)) \(message)")
            return nil
        }
        return text
    }

    mutating func flag(_ fields: ResourceFields, _ name: String) -> Bool? {
        guard let node = fields.node(name) else { return nil }
        if case .plain(let text) = node.content {
            if text.isSameBytes(as: "true") { return true }
            if text.isSameBytes(as: "false") { return false }
        }
        problem(node.place, fields.path(name), "is neither true nor false")
        return nil
    }

    /// A list of texts of one form, each once.
    ///
    /// - Parameter orOne: Whether a text alone is a list of one. Such a list must not be empty.
    mutating func list(
        _ fields: ResourceFields, _ name: String, orOne: Bool = false, max: Int = ResourceLimits.namesMax, _ fault: (String) -> String?
    ) -> [Located<String>] {
        guard let node = fields.node(name) else { return [] }
        let path = fields.path(name)
        let elements: [YAMLNode]
        switch node.content {
        case .sequence(let nodes): elements = nodes
        case .plain where orOne, .quoted where orOne: elements = [node]
        default:
            let expected = orOne ? "text or a list" : "a list"
            problem(node.place, path, node.isNull ? "has no value" : "is \(node.kindName), where \(expected) is expected")
            return []
        }
        if elements.isEmpty, orOne { problem(node.place, path, "is empty; leave it out, or name something") }
        if elements.count > max {
            problem(node.place, path, "has more than \(max) elements")
            return []
        }
        var texts: [Located<String>] = []
        for element in elements {
            guard let text = element.text else {
                problem(element.place, path, "has \(element.kindName), where text is expected")
                continue
            }
            guard let checked = checked(Located(value: text, place: element.place), path, fault) else { continue }
            if texts.contains(where: { $0.value.isSameBytes(as: text) }) {
                problem(element.place, path, "\(Quoted.text(text)) stands there twice")
            } else {
                texts.append(checked)
            }
        }
        return texts
    }

    /// A list of scopes; each is looked up when all files are read.
    mutating func scopes(_ fields: ResourceFields, _ name: String, orOne: Bool) -> [Identifier] {
        let found = list(fields, name, orOne: orOne, ResourceSyntax.scopeFault)
        for scope in found { names.refer(.scope, scope, fields.path(name)) }
        return found.map { Identifier($0.value) }
    }

    /// One of the words of an enumeration.
    mutating func word<Value: RawRepresentable<String> & CaseIterable>(_ fields: ResourceFields, _ name: String) -> Value? {
        guard let text = text(fields, name) else { return nil }
        return word(text, fields.path(name))
    }

    mutating func word<Value: RawRepresentable<String> & CaseIterable>(_ text: Located<String>, _ path: String) -> Value? {
        if let value = Value.allCases.first(where: { $0.rawValue.isSameBytes(as: text.value) }) { return value }
        let words = Value.allCases.map(\.rawValue)
        problem(
            text.place, path, "\(Quoted.text(text.value)) is none of \(words.joined(separator: ", "))",
            nearest: NearestName.of(text.value, among: words)
        )
        return nil
    }

    /// - Returns: Whether the name is new.
    mutating func declare(_ kind: ResourceName.Kind, _ name: Located<String>, _ path: String) -> Bool {
        // User names that differ in ASCII case alone would be one account.
        let key = kind == .user ? String(decoding: name.value.utf8.map(lowercasedASCII), as: UTF8.self) : name.value
        let resource = ResourceName(kind, Identifier(key))
        if let before = names.declared[resource] {
            problem(name.place, path, "the \(kind.rawValue) \(Quoted.text(name.value)) is there already, at \(before)")
            return false
        }
        names.declared[resource] = name.place
        return true
    }
}
