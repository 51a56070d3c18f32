import Testing

/// A row of a table: what is written, and the line that must name what is wrong with it.
struct FaultyText: Sendable, CustomTestStringConvertible {
    let text: String
    let line: String

    init(_ text: String, _ line: String) {
        self.text = text
        self.line = line
    }

    var testDescription: String { text }
}

extension FaultyText {
    static let all: [FaultyText] = [
        .init("clents: []", "resources.yaml:1:1: clents: is no known key; the nearest known one is clients"),
        .init("", "resources.yaml:1:1: the file is empty; to want nothing, write users: []"),
        .init("[]", "resources.yaml:1:1: is a list, where a mapping is expected"),
        .init("users:", "resources.yaml:1:7: users: has no value; an empty list is []"),
        .init("users: {alice: 1}", "resources.yaml:1:8: users: is a mapping, where a list is expected"),
        .init("users: [alice]", "resources.yaml:1:9: users[0]: is text, where a mapping is expected"),
        .init("users: [{}]", "resources.yaml:1:9: users[0].username: is missing"),
        .init(
            "users: [{username: a, pasword: x}]",
            "resources.yaml:1:23: users[0].pasword: is no known key; the nearest known one is password"),
        .init("users: [{username: ''}]", "resources.yaml:1:20: users[0].username: \"\" is empty"),
        .init("users: [{username: [a]}]", "resources.yaml:1:20: users[0].username: is a list, where text is expected"),
        .init(
            "users: [{username: a, password: x, password_hash: $1$}]",
            "resources.yaml:1:51: users[0].password_hash: stands beside password; one of them is enough"),
        .init("users: [{username: a, password_hash: plain}]", "resources.yaml:1:38: users[0].password_hash: is no password hash ($…)"),
        .init("users: [{username: a, password: }]", "resources.yaml:1:33: users[0].password: has no value"),
        .init(
            "users: [{username: a, password: env:NOPE}]",
            "resources.yaml:1:33: users[0].password: the environment variable NOPE is not set or is empty"),
        .init("users: [{username: a, password: file:nope}]", "resources.yaml:1:33: users[0].password: the file nope does not exist"),
        .init("users: [{username: a, email: a}]", "resources.yaml:1:30: users[0].email: \"a\" is no e-mail address"),
        .init("users: [{username: a, roles: customer}]", "resources.yaml:1:30: users[0].roles: is text, where a list is expected"),
        .init(
            "users: [{username: a, roles: [custmer]}]\nroles: {customer: []}",
            "resources.yaml:1:31: users[0].roles: \"custmer\" is no role; the nearest known one is customer"),
        .init(
            "users: [{username: a}, {username: a}]",
            "resources.yaml:1:35: users[1].username: the user \"a\" is there already, at resources.yaml:1:20"),
        .init(
            "users: [{username: Bob}, {username: bob}]",
            "resources.yaml:1:37: users[1].username: the user \"bob\" is there already, at resources.yaml:1:20"),
        .init(
            "clients: [{id: a, grants: [login]}]",
            "resources.yaml:1:11: clients[0].secret: is missing: a client is public: true, or has a secret, keys or a certificate"),
        .init("clients: [{id: a, public: yes, grants: [login]}]", "resources.yaml:1:27: clients[0].public: is neither true nor false"),
        .init("clients: [{id: a, public: 'true', grants: [login]}]", "resources.yaml:1:27: clients[0].public: is neither true nor false"),
        .init("clients: [{id: a, public: True, grants: [login]}]", "resources.yaml:1:27: clients[0].public: is neither true nor false"),
        .init("clients: [{id: a, public: true}]", "resources.yaml:1:11: clients[0].grants: is missing: say how the client gets tokens"),
        .init(
            "clients: [{id: a, public: true, grants: []}]",
            "resources.yaml:1:41: clients[0].grants: is empty: say how the client gets tokens"),
        .init(
            "clients: [{id: a, public: true, grants: [pasword]}]",
            "resources.yaml:1:42: clients[0].grants: \"pasword\" is none of login, authorization_code, refresh_token, client_credentials, device_code, token_exchange, jwt_bearer; the nearest known one is login"
        ),
        .init(
            "clients: [{id: a, public: true, grants: [login, login]}]",
            "resources.yaml:1:49: clients[0].grants: \"login\" stands there twice"),
        .init(
            "clients: [{id: a, public: true, grants: [client_credentials]}]",
            "resources.yaml:1:41: clients[0].grants: client_credentials is for clients with a secret (RFC 6749 §4.4)"),
        .init(
            "clients: [{id: a, public: true, grants: [refresh_token]}]",
            "resources.yaml:1:41: clients[0].grants: refresh_token needs authorization_code, device_code or login beside it: nothing else gives refresh tokens"
        ),
        .init(
            "clients: [{id: a, public: true, grants: [authorization_code]}]",
            "resources.yaml:1:11: clients[0].redirect_uris: is missing: authorization_code needs where to send the code"),
        .init(
            "clients: [{id: a, public: true, grants: [login], redirect_uris: ['https://a']}]",
            "resources.yaml:1:65: clients[0].redirect_uris: has no use without the grant authorization_code"),
        .init(
            "clients: [{id: a, public: true, secret: env:BILLING, grants: [login]}]",
            "resources.yaml:1:41: clients[0].secret: stands beside public: true; a public client has no secret"),
        .init(
            "clients: [{id: gatehouse, public: true, grants: [login]}]",
            "resources.yaml:1:16: clients[0].id: \"gatehouse\" is the name of Gatehouse's own"),
        .init(
            "clients: [{id: 'a b', public: true, grants: [login]}]",
            "resources.yaml:1:16: clients[0].id: \"a b\" has characters other than printable ASCII without space, \" and \\"),
        .init(
            "clients: [{id: a, public: true, grants: [login], scopes: [nope]}]",
            "resources.yaml:1:59: clients[0].scopes: \"nope\" is a scope of no resource; the nearest known one is openid"),
        .init(
            "clients: [{id: a, public: true, grants: [login], scopes: ['a b']}]",
            "resources.yaml:1:59: clients[0].scopes: \"a b\" is no scope: at most 255 bytes of printable ASCII without space, \" and \\ (RFC 6749 §3.3)"
        ),
        .init(
            "clients: [{id: a, public: true, grants: [login], scopes: [[]]}]",
            "resources.yaml:1:59: clients[0].scopes: has a list, where text is expected"),
        .init(
            "resources: [{id: gatehouse, scopes: []}]", "resources.yaml:1:18: resources[0].id: \"gatehouse\" is the name of Gatehouse's own"
        ),
        .init("resources: [{id: GateHouse}]", "resources.yaml:1:18: resources[0].id: \"GateHouse\" is the name of Gatehouse's own"),
        .init(
            "resources: [{id: 'https://id.example.com'}]",
            "resources.yaml:1:18: resources[0].id: is the issuer, which is the audience of tokens without scopes"),
        .init(
            "resources: [{id: a, scopes: [openid]}]", "resources.yaml:1:30: resources[0].scopes: \"openid\" is a scope of Gatehouse's own"),
        .init(
            "resources: [{id: a, scopes: ['gatehouse:x']}]",
            "resources.yaml:1:30: resources[0].scopes: \"gatehouse:x\" is a scope of Gatehouse's own"),
        .init(
            "resources: [{id: a, scopes: [x]}, {id: b, scopes: [x]}]",
            "resources.yaml:1:52: resources[1].scopes: the scope \"x\" belongs to one resource only, and has one at resources.yaml:1:30"),
        .init("roles: [customer]", "resources.yaml:1:8: roles: is a list, where role names with lists of scopes are expected"),
        .init("roles: {a: [nope]}", "resources.yaml:1:13: roles.a: \"nope\" is a scope of no resource; the nearest known one is openid"),
        .init("roles: {a: openid}", "resources.yaml:1:12: roles.a: is text, where a list is expected"),
        .init("roles: {'a b': []}", "resources.yaml:1:9: roles.a b: the name is not 1…64 letters, digits, . _ - :"),
        .init("routes: [{}]", "resources.yaml:1:10: routes[0].name: is missing"),
        .init("routes: [{}]", "resources.yaml:1:10: routes[0].match: is missing"),
        .init("routes: [{}]", "resources.yaml:1:10: routes[0].upstream: is missing"),
        .init("routes: [{name: a, match: {}, upstream: 'http://a'}]", "resources.yaml:1:27: routes[0].match.path: is missing"),
        .init(
            "routes: [{name: a, match: {path: /a, method: [GET]}, upstream: 'http://a'}]",
            "resources.yaml:1:38: routes[0].match.method: is no known key; the nearest known one is methods"),
        .init(
            "routes: [{name: a, match: {path: /a, methods: []}, upstream: 'http://a'}]",
            "resources.yaml:1:47: routes[0].match.methods: is empty; leave it out for all methods"),
        .init(
            "routes: [{name: a, match: {path: /a, methods: GET}, upstream: 'http://a'}]",
            "resources.yaml:1:47: routes[0].match.methods: is text, where a list is expected"),
        .init(
            "routes: [{name: a, match: {path: /a, methods: [get]}, upstream: 'http://a'}]",
            "resources.yaml:1:48: routes[0].match.methods: \"get\" is no method in upper case"),
        .init(
            "routes: [{name: a, match: {path: /a, methods: [TRACE]}, upstream: 'http://a'}]",
            "resources.yaml:1:48: routes[0].match.methods: \"TRACE\" is never passed on"),
        .init(
            "routes: [{name: a, match: {path: /a}, upstream: []}]",
            "resources.yaml:1:49: routes[0].upstream: is empty; leave it out, or name something"),
        .init(
            "routes: [{name: a, match: {path: /a}, upstream: 'http://a/b'}]",
            "resources.yaml:1:49: routes[0].upstream: \"http://a/b\" carries a path; the path of the request is forwarded unchanged"),
        .init(
            "routes: [{name: a, match: {path: /a}, upstream: 'http://a', require: {scpe: x}}]",
            "resources.yaml:1:71: routes[0].require.scpe: is no known key; the nearest known one is scope"),
        .init(
            "routes: [{name: a, match: {path: /a}, upstream: 'http://a', require: {scope: x}}]",
            "resources.yaml:1:78: routes[0].require.scope: \"x\" is a scope of no resource; the nearest known one is email"),
        .init(
            "routes: [{name: a, match: {path: /a}, upstream: 'http://a', require: {audience: x}}]",
            "resources.yaml:1:81: routes[0].require.audience: \"x\" is no resource"),
        .init(
            "routes: [{name: a, match: {path: /a}, upstream: 'http://a', require: {audience: gatehouse}}]",
            "resources.yaml:1:81: routes[0].require.audience: \"gatehouse\" is no resource"),
        .init(
            "routes: [{name: a, match: {path: /a}, upstream: 'http://a', require: {role: x}}]",
            "resources.yaml:1:77: routes[0].require.role: \"x\" is no role"),
        .init(
            "routes: [{name: a, match: {path: /a}, upstream: 'http://a', require: {max_age: 5}}]",
            "resources.yaml:1:80: routes[0].require.max_age: \"5\" is no duration of 1s…365d, as in 5m"),
        .init(
            "routes: [{name: a, match: {path: /a}, upstream: 'http://a', require: {max_age: 0s}}]",
            "resources.yaml:1:80: routes[0].require.max_age: \"0s\" is no duration of 1s…365d, as in 5m"),
        .init(
            "routes: [{name: a, match: {path: /a}, upstream: 'http://a', require: {resource_metadata: 'http://a.example/x'}}]",
            "resources.yaml:1:90: routes[0].require.resource_metadata: \"http://a.example/x\" is http on a host that is not loopback"),
        .init(
            "routes: [{name: a, match: {path: /a}, upstream: 'http://a', identity: header}]",
            "resources.yaml:1:71: routes[0].identity: \"header\" is none of headers, jwt, none; the nearest known one is headers"),
        .init(
            "routes: [{name: a, match: {path: /a}, upstream: 'http://a', when_stale: never}]",
            "resources.yaml:1:73: routes[0].when_stale: \"never\" is none of refuse, ask, serve; the nearest known one is serve"),
        .init(
            "routes: [{name: a, match: {path: /a}, upstream: 'http://a', pass_token: on}]",
            "resources.yaml:1:73: routes[0].pass_token: is neither true nor false"),
        .init(
            "routes: [{name: a, match: {path: /a}, upstream: 'http://a'}, {name: a, match: {path: /b}, upstream: 'http://a'}]",
            "resources.yaml:1:69: routes[1].name: the route \"a\" is there already, at resources.yaml:1:17"),
        .init(
            "routes: [{name: a, match: {path: /a}, upstream: 'http://a'}, {name: b, match: {path: /a, methods: [GET]}, upstream: 'http://a'}]",
            "resources.yaml:1:86: routes[1].match.path: another route has the same host and path and takes GET, HEAD too, "
                + "at resources.yaml:1:34"),
        .init(
            "routes: [{name: a, match: {path: /a}, upstream: 'http://a'}, {name: b, match: {path: /a}, upstream: 'http://a'}]",
            "resources.yaml:1:86: routes[1].match.path: another route has the same host and path and takes any method too, "
                + "at resources.yaml:1:34"),
        .init(
            "routes: [{name: a, match: {path: /a, methods: [GET]}, upstream: 'http://a'}, "
                + "{name: b, match: {path: /a, methods: [POST, HEAD]}, upstream: 'http://a'}]",
            "resources.yaml:1:102: routes[1].match.path: another route has the same host and path and takes HEAD too, "
                + "at resources.yaml:1:34"),
        .init(
            "routes: [{name: a, match: {path: /a, methods: [PRI]}, upstream: 'http://a'}]",
            "resources.yaml:1:48: routes[0].match.methods: \"PRI\" is never passed on"),
        .init(
            "providers: [{id: google}]",
            "resources.yaml:1:13: providers: this version has no identity providers yet; the list must be empty"),
        .init("users: []\nusers: []", "resources.yaml:1:1: the same key twice: \"users\""),
    ]
}
