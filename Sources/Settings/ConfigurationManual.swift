package import AuthCore
internal import Store

/// Writes docs/configuration.md from the tables of keys, and from nothing else.
package enum ConfigurationManual {
    package static func render(keys: [SettingKey] = ServerKeys.all) -> String {
        var text = introduction
        for group in groups(keys) {
            text += "\n### \(group.title)\n\n| key | value | default | |\n|---|---|---|---|\n"
            for key in group.keys { text += row([code(key.name), form(key.kind), standard(key), key.documentation]) }
        }
        return text + "\n" + resources()
    }

    private static let introduction = """
        # Configuration

        This page is made by `gatehouse docs configuration` from the tables that the server reads its settings by. Do not edit it.

        ## Settings

        A setting comes, highest first, from

        1. the command line: `--` and its key, as in `--tokens.access_ttl 5m` or `--tokens.access_ttl=5m`; a flag alone means `true`;
        2. the environment: `GATEHOUSE_` and the key in upper case, dots and dashes as `_`, as in `GATEHOUSE_TOKENS_ACCESS_TTL=5m`;
        3. the YAML file that `--config` or, without it, `GATEHOUSE_CONFIG` names; keys with dots are written as groups:

        ```yaml
        issuer: https://id.example.com
        listen:
          auth: {address: "0.0.0.0:8443", tls: {certificate: tls/server.pem, key: tls/server.key}}
        tokens: {access_ttl: 5m}
        master_keys: [env:MASTER_KEY]
        ```

        Rules that hold everywhere:

        - A key that is not known is an error that names the nearest known one; so is a key given twice. Unknown `GATEHOUSE_` names in
          the environment only give a warning. All mistakes are reported at once, and then nothing starts.
        - Lists are separated by commas on the command line and in the environment, for list keys only. In the file they are YAML lists.
          A list replaces the one of a lower source; it is not added to it.
        - Durations are a whole number and one of `ms s m h d`; sizes a whole number and one of `B KB MB` (thousands).
        - Truth values are `true` and `false`. `yes`, `on` and `010` are text.
        - A path that is relative is relative to the settings file, whichever source it came from; without a file, to the working directory.
        - A secret may be written `file:PATH` (one line; the line end does not count) or `env:NAME`. In clear on the command line it is
          refused, because every user of the machine can read it there.
        - YAML anchors, aliases, tags and block text (`|`, `>`) are not read. A file may have 1 MB.

        `gatehouse check-config` prints every setting in force and where it came from, with secrets masked.

        """

    private static func groups(_ keys: [SettingKey]) -> [(title: String, keys: [SettingKey])] {
        var groups: [(title: String, keys: [SettingKey])] = []
        for key in keys {
            let parts = key.name.utf8.split(separator: UInt8(ascii: "."))
            let title = parts.count > 1 ? String(Substring(parts[0])) : "General"
            if let index = groups.firstIndex(where: { $0.title.isSameBytes(as: title) }) {
                groups[index].keys.append(key)
            } else {
                groups.append((title, [key]))
            }
        }
        return groups
    }

    private static func form(_ kind: SettingKey.Kind) -> String {
        switch kind {
        case .choice(let words): words.map(code).joined(separator: ", ")
        case .flag: "`true`, `false`"
        case .duration(let range): "duration, \(DurationText.format(range.lowerBound))…\(DurationText.format(range.upperBound))"
        case .size(let range): "size, \(SizeText.format(range.lowerBound))…\(SizeText.format(range.upperBound))"
        case .integer: "number, \(kind.allowed)"
        case .listener: "`HOST:PORT` or `unix:PATH`"
        case .url: "URL"
        case .path: "path"
        case .secret: "secret"
        case .text: "text"
        case .list(let kind): "list of: \(form(kind))"
        }
    }

    private static func standard(_ key: SettingKey) -> String {
        guard let text = key.defaultText else { return "" }
        if key.isList { return code("[\(text)]") }
        return code(text)
    }

    private static func resources() -> String {
        var text = resourceIntroduction
        let tables: [(title: String, path: String, keys: [ResourceKey])] = [
            ("The file", "", ResourceKeys.document), ("Users", "users", ResourceKeys.user), ("Clients", "clients", ResourceKeys.client),
            ("Resources", "resources", ResourceKeys.resource), ("Routes", "routes", ResourceKeys.route),
            ("What a route matches", "routes: match", ResourceKeys.match), ("What a route requires", "routes: require", ResourceKeys.rule),
        ]
        for table in tables {
            let place = table.path.isEmpty ? "" : " (`\(table.path)`)"
            text += "\n### \(table.title)\(place)\n\n| key | value | |\n|---|---|---|\n"
            for key in table.keys { text += row([code(key.name), key.form, key.documentation]) }
        }
        return text
    }

    private static let resourceIntroduction = """
        ## Resources

        Users, clients, resources, roles and routes are declared in YAML files, which `gatehouse apply -f FILE…` or, at start, the setting
        `apply` brings into being. Several files count as one document; a name that is declared twice is an error. The admin API returns
        the same shapes as JSON.

        ```yaml
        users:
          - {username: alice, email: alice@example.com, password: env:ALICE_PASSWORD, roles: [customer]}
        clients:
          - id: web
            public: true
            grants: [authorization_code, refresh_token]
            redirect_uris: [https://app.example.com/callback]
            scopes: [openid, profile, offline_access, orders:read]
          - {id: billing, secret: env:BILLING_SECRET, grants: [client_credentials], scopes: [orders:read]}
        resources:
          - {id: orders, scopes: [orders:read, orders:write]}
        roles:
          customer: [orders:read]
        routes:
          - name: orders
            match: {path: /orders, methods: [GET, POST]}
            upstream: http://orders:7001
            require: {scope: orders:read, audience: orders}
          - {name: public, match: {path: /public}, upstream: "http://site:7002", require: none}
        ```

        - `password` and `secret` are initial: used when the account or client is made, never again.
        - `apply` changes only what files made. What vanishes from the files is disabled, and deleted with `--prune`. Accounts that signed
          up and clients that registered are not touched. A faulty file changes nothing.
        - A route without `require` needs a valid token. Only `none` opens a route; an empty `require` is an error.
        - The first match is final: routes with a host before those without, then the longest path by whole segments. Two routes with the
          same host and path must differ in their methods (`GET` includes `HEAD`); a method that both take is an error.
        - A path is written in its one canonical form: printable ASCII, no `//`, no dot segment, no `;`, no backslash, no slash at its end
          (`/orders` matches `/orders/` as well), percent-escapes in upper case and only where they are needed. `/.gatehouse` is reserved.
        - Every scope that is named must belong to a resource or be one of \(builtInScopes).

        """

    private static let builtInScopes = ResourceSyntax.builtInScopes.map(code).joined(separator: ", ")

    private static func code(_ text: String) -> String { "`\(text)`" }

    private static func row(_ cells: [String]) -> String {
        let escaped = cells.map { cell in
            String(decoding: cell.utf8.flatMap { $0 == UInt8(ascii: "|") ? Array("\\|".utf8) : [$0] }, as: UTF8.self)
        }
        return "| " + escaped.joined(separator: " | ") + " |\n"
    }
}
