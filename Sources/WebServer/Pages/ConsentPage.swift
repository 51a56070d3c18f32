internal import AuthCore
internal import OAuthServer
internal import Store

/// What a client asks for, in words: of the person, of each resource, and in `authorization_details` (RFC 9396).
struct ConsentPage {
    let form: FormPart
    let request: AuthorizationRequest
    let question: ConsentQuestion

    func render() -> Page {
        let groups: [HTML] = question.asked.map(ConsentPage.group)
        let details: [HTML] = question.details.map(AuthorizationDetailText.html)
        let asksNothing = question.asked.isEmpty && question.details.isEmpty
        let nothing: HTML = asksNothing ? "<ul>\n<li>Know that you have an account here</li>\n</ul>\n" : ""
        return Page(
            title: "Allow access",
            content: """
                \(request.client.logo)<h1>Allow access?</h1>
                <p class="lead">\(shownName(request.client.displayName)) asks to use your account \(shownName(question.session.account.username)).</p>
                <p>It could:</p>
                <div class="asked">
                \(groups)\(details)\(nothing)</div>
                \(ConsentPage.about(request))
                <form method="post" action="/consent">
                \(form.html)
                <div class="actions">
                <button type="submit" name="answer" value="allow">Allow</button>
                <button type="submit" name="answer" value="deny" class="quiet">Do not allow</button>
                </div>
                </form>
                """)
    }

    static func group(_ asked: AskedScopes) -> HTML {
        let heading: HTML = asked.resource.map { "<h2><bdi>\($0.name ?? $0.id.text)</bdi></h2>\n" } ?? ""
        let items: [HTML] = asked.scopes.map { name, description in
            if let words = ConsentPage.words(name) { return "<li>\(words)</li>\n" }
            return description.map { "<li><bdi>\($0)</bdi></li>\n" } ?? "<li><code>\(name.text)</code></li>\n"
        }
        return "\(heading)<ul>\n\(items)</ul>\n"
    }

    /// Of the scopes that are the same everywhere (OpenID Connect Core §5.4, §11), and of our own.
    private static func words(_ scope: Identifier) -> String? {
        switch scope.text {
        case "openid": "Know that it is you, whenever you come back"
        case "profile": "See your user name"
        case "email": "See your e-mail address"
        case "offline_access": "Keep this access when you have signed out, until you take it back"
        case ScopeCatalogue.accountScope.text: "Manage your account: its sessions, and what you have allowed"
        case ScopeCatalogue.adminScope.text: "Run Gatehouse: all accounts, clients and keys"
        default: nil
        }
    }

    /// Who is behind the client, as far as anybody has said: where the browser goes next is what cannot be made up.
    private static func about(_ request: AuthorizationRequest) -> HTML {
        let place = place(request.target, "Afterwards you go")
        return "<p class=\"fine\">\(place)\(unchecked(request.client))</p>\(request.client.links)"
    }

    /// One sentence that says where people go, behind how it begins.
    static func place(_ target: RedirectTarget, _ beginning: HTML) -> HTML {
        switch target.place {
        case .host(let host): "\(beginning) to <strong><bdi>\(host)</bdi></strong>."
        case .device(let authority): "\(beginning) back to a program on this device (<strong><bdi>\(authority)</bdi></strong>)."
        case .app(let scheme): "\(beginning) back to an app on this device (<bdi>\(scheme)</bdi>)."
        }
    }

    /// What a person can judge a client by that chose its name itself (draft-ietf-oauth-client-id-metadata-document §6).
    private static func unchecked(_ client: Client) -> HTML {
        guard client.managedBy == .api else { return "" }
        let host: HTML = client.documentHost.map { " It is described by <strong><bdi>\($0)</bdi></strong>." } ?? ""
        // Model Context Protocol, localhost redirect URIs: the document's good name is anybody's who can listen on this device.
        let isOnlyHere = client.documentHost != nil && !client.definition.redirectURIs.contains { $0.dropping(prefix: "https://") != nil }
        let warning: HTML = isOnlyHere ? " Any program on this device could be asking in its name." : ""
        return " Nobody here has checked this application.\(host)\(warning)"
    }
}

/// One element of `authorization_details` for people: its type, and its members by name, whatever they are.
enum AuthorizationDetailText {
    /// Deeper ones are shown as JSON.
    private static let depthMax = 3

    static func html(_ detail: JSONValue) -> HTML {
        let members = detail.object ?? JSONObject()
        let rows: [HTML] = members.filter { name, _ in !name.isSameBytes(as: "type") }.map { name, value in
            "<dt><bdi>\(words(name))</bdi></dt><dd><bdi>\(text(value, depth: 0))</bdi></dd>\n"
        }
        let list: HTML = rows.isEmpty ? "" : "<dl>\n\(rows)</dl>\n"
        return "<h2><bdi>\(words(members["type"]?.string ?? ""))</bdi></h2>\n\(list)"
    }

    /// `payment_initiation` and `instructedAmount` as words.
    private static func words(_ name: String) -> String {
        func isSmall(_ byte: UInt8) -> Bool { (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte) }
        func isCapital(_ byte: UInt8) -> Bool { (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains(byte) }
        let bytes = Array(name.utf8)
        var words: [UInt8] = []
        for (index, byte) in bytes.enumerated() {
            if index == 0 {
                words.append(isSmall(byte) ? byte - 0x20 : byte)
            } else if isCapital(byte), isSmall(bytes[index - 1]) {
                // An abbreviation stays one: `creditorIBAN`.
                let isWord = index + 1 < bytes.count && isSmall(bytes[index + 1])
                words += [0x20, isWord ? byte + 0x20 : byte]
            } else {
                words.append(byte == UInt8(ascii: "_") ? 0x20 : byte)
            }
        }
        return String(decoding: words, as: UTF8.self)
    }

    private static func text(_ value: JSONValue, depth: Int) -> String {
        if let text = value.string { return text }
        if let flag = value.bool { return flag ? "yes" : "no" }
        if depth < depthMax, let elements = value.array { return elements.map { text($0, depth: depth + 1) }.joined(separator: ", ") }
        if depth < depthMax, let members = value.object {
            return members.map { name, value in "\(words(name)): \(text(value, depth: depth + 1))" }.joined(separator: ", ")
        }
        return String(decoding: value.encoded, as: UTF8.self)
    }
}
