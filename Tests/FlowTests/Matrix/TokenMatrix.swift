import AuthCore
import OAuthServer
import Store
import Testing
import TokenVerification

@testable import TokenKeys
@testable import gatehouse

/// One change to an access token that is good otherwise, signed anew with the server's own key.
struct Forgery: Sendable {
    let name: String
    /// The places that take it all the same, and why: a row whose list is empty is refused everywhere.
    let takenBy: Set<TokenPlace>
    let change: @Sendable (inout Parts) -> Void

    struct Parts {
        var header: JSONObject
        var claims: JSONObject
        /// Changes the finished text.
        var finish: (String) -> String = { $0 }
    }

    init(_ name: String, takenBy: Set<TokenPlace> = [], _ change: @escaping @Sendable (inout Parts) -> Void) {
        self.name = name
        self.takenBy = takenBy
        self.change = change
    }

    private static func type(_ type: String) -> Forgery { Forgery("typ \(type)") { $0.header["typ"] = .string(type) } }
    private static func without(_ claim: String) -> Forgery { Forgery("no \(claim)") { $0.claims[claim] = nil } }
    private static func time(_ name: String, _ claim: String, _ offset: Int64, takenBy: Set<TokenPlace> = []) -> Forgery {
        Forgery(name, takenBy: takenBy) { $0.claims[claim] = .number(JSONNumber(($0.claims["iat"]?.int ?? 0) + offset)) }
    }

    static let all: [Forgery] =
        [
            // Shows that what is forged here is refused for its one change and not for being forged.
            Forgery("unchanged", takenBy: TokenPlace.bearer) { _ in },
            Forgery("typ in another case", takenBy: TokenPlace.bearer) { $0.header["typ"] = .string("AT+JWT") },
            Forgery("typ written out", takenBy: TokenPlace.bearer) { $0.header["typ"] = .string("application/at+jwt") },
            // An ID token names its client as audience, and the built-in client is called as our own resource is.
            Forgery("ID token") {
                $0.header["typ"] = .string("JWT")
                $0.claims["aud"] = $0.claims["client_id"]
                $0.claims["nonce"] = .string("n")
            },
            Forgery("no typ") { $0.header["typ"] = nil },
        ]
        + [
            "JWT", "id_token+jwt", "identity+jwt", "logout+jwt", "dpop+jwt", "secevent+jwt", "oauth-authz-req+jwt",
            "token-introspection+jwt", "client-authentication+jwt", "at+jwt ", "xat+jwt", "at+jw", "",
        ].map { type($0) }
        + ["iss", "sub", "aud", "client_id", "exp", "iat", "jti"].map { without($0) }
        + [
            Forgery("another issuer") { $0.claims["iss"] = .string("http://localhost:8081") },
            Forgery("the issuer with a slash") { $0.claims["iss"] = .string("http://localhost:8080/") },
            Forgery("no audience at all") { $0.claims["aud"] = .array([]) },
            // Whoever does not say which audience it wants gets any, and is told which; so does what only ends the token's session.
            Forgery("another audience", takenBy: TokenPlace.anyAudience.union([.introspectOwn])) { $0.claims["aud"] = .string("reports") },
            // Never issued; a place that wants ours wants it alone.
            Forgery(
                "our audience with another",
                takenBy: TokenPlace.anyAudience.subtracting([.forwardAuth]).union([
                    .validateForOrders, .gateway, .introspect, .introspectOwn, .exchange,
                ])
            ) {
                $0.claims["aud"] = .array([.string("gatehouse"), .string("orders")])
            },
            Forgery(
                "less scope", takenBy: TokenPlace.anyAudience.union([.validateForOrders, .introspect, .introspectOwn])
            ) {
                $0.claims["scope"] = .string("openid")
            },
            // A token that is spent still ends its session (LO-05), and nothing else.
            time("expired", "exp", -61, takenBy: [.logoutByAccessToken]), time("of tomorrow", "nbf", 86_400),
            Forgery("issued tomorrow") { $0.claims["iat"] = .number(JSONNumber(($0.claims["iat"]?.int ?? 0) + 86_400)) },
            time("for ten years", "exp", 315_360_000),
            // Introspection tells what it is bound to; the resource asks for the proof (RFC 8705 §3.2, RFC 9449 §6.2).
            // A client that proves itself may pass it on: RFC 8693 asks for no proof of what was shown to it.
            Forgery("bound to a key", takenBy: [.introspect, .introspectOwn, .exchange]) {
                $0.claims["cnf"] = .object(JSONObject([("jkt", .string("NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"))]))
            },
            Forgery("bound to a certificate", takenBy: [.introspect, .introspectOwn, .exchange]) {
                $0.claims["cnf"] = .object(JSONObject([("x5t#S256", .string("NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"))]))
            },
            Forgery("bound to what is not known here", takenBy: [.introspect, .introspectOwn]) {
                $0.claims["cnf"] = .object(JSONObject([("kid", .string("k"))]))
            },
            // Whoever finds one cannot end its session with it.
            Forgery("bound to a key, expired") {
                $0.claims["cnf"] = .object(JSONObject([("jkt", .string("NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"))]))
                $0.claims["exp"] = .number(JSONNumber(($0.claims["iat"]?.int ?? 0) - 61))
            },
            Forgery("alg none") { $0.header["alg"] = .string("none") },
            Forgery("alg none, no signature") {
                $0.header["alg"] = .string("none")
                $0.finish = { String($0.prefix(through: $0.lastIndex(of: ".") ?? $0.startIndex)) }
            },
            Forgery("alg HS256") { $0.header["alg"] = .string("HS256") }, Forgery("alg RS256") { $0.header["alg"] = .string("RS256") },
            Forgery("another kid") { $0.header["kid"] = .string("nobody") },
            Forgery("crit") { $0.header["crit"] = .array([.string("exp")]) },
            Forgery("unencoded payload") { $0.header["b64"] = .bool(false) },
            Forgery("no signature") { $0.finish = { String($0.prefix(through: $0.lastIndex(of: ".") ?? $0.startIndex)) } },
            Forgery("cut by one") { $0.finish = { String($0.dropLast()) } }, Forgery("one longer") { $0.finish = { $0 + "A" } },
            Forgery("five parts") { $0.finish = { $0 + ".AA.AA" } },
            Forgery("another payload under the signature") {
                let claims = $0.claims
                $0.finish = { text in
                    var parts = text.split(separator: ".").map(String.init)
                    var other = claims
                    other["jti"] = .string("another")
                    parts[1] = Base64URL.encode(JSONValue.object(other).encoded)
                    return parts.joined(separator: ".")
                }
            },
        ]

    /// - Parameter token: A good access token of `test`.
    func forged(from token: String, in test: TestNode) async throws -> String {
        let halves = try token.split(separator: ".").prefix(2).map {
            try #require(try JSONReader.read(Base64URL.decode(String($0)) ?? []).object)
        }
        try #require(halves.count == 2)
        var parts = Parts(header: halves[0], claims: halves[1])
        change(&parts)
        let record = try #require(test.node.keys.current)
        let sealed = try test.node.masterKeys.open(record.sealedPrivateKey, for: .signingKeys, context: "signing_keys/\(record.id)")
        let key = try PrivateKey(sealed, algorithm: .es256)
        let input = [parts.header, parts.claims].map { Base64URL.encode(JSONValue.object($0).encoded) }.joined(separator: ".")
        return parts.finish(input + "." + Base64URL.encode(try key.signature(for: Array(input.utf8))))
    }
}

/// Every place that takes a credential. A new endpoint is a row here.
enum TokenPlace: String, CaseIterable, Sendable, CustomTestStringConvertible {
    case loginPassword, loginClientSecret, refresh, refreshClientSecret, validate, validateForOrders, explain, forwardAuth, gateway,
        sessions, endSession, consents, withdrawConsent, logoutByRefreshToken, logoutByAccessToken, adminAPI
    /// The endpoints of OAuth: of `web`, which is public, of `service` for itself, and of `orders-api`, which is asked about `orders`.
    case tokenCode, tokenRefresh, tokenClientSecret, introspect, introspectOwn, revoke, userinfo, userinfoByPost, browser
    /// Of the device flow, and of a client that passes tokens on.
    case tokenDevice, devicePage, exchange

    var testDescription: String { rawValue }

    /// The places of an access token.
    static let bearer: Set<TokenPlace> = [
        .validate, .validateForOrders, .explain, .forwardAuth, .gateway, .sessions, .endSession, .consents, .withdrawConsent,
        .logoutByAccessToken, .adminAPI,
        .introspect, .introspectOwn, .revoke, .userinfo, .userinfoByPost, .exchange,
    ]
    /// Those that do not say which audience they want, or which scope of it.
    static let anyAudience: Set<TokenPlace> = [.validate, .forwardAuth, .logoutByAccessToken, .revoke, .userinfo, .userinfoByPost]

    /// What of ours is right here.
    var takes: Set<TokenKind> {
        switch self {
        case .loginPassword: [.password]
        case .loginClientSecret, .refreshClientSecret: [.clientSecret]
        case .refresh, .logoutByRefreshToken: [.refresh]
        case .validate: [.orders, .account, .admin, .oauthAccess, .clientAccess]
        case .logoutByAccessToken: [.orders, .account, .admin]
        case .validateForOrders, .forwardAuth, .gateway, .introspect: [.orders, .oauthAccess, .clientAccess]
        case .explain, .adminAPI: [.admin]
        case .sessions, .endSession, .consents, .withdrawConsent: [.account, .refresh]
        case .tokenCode: [.code]
        case .tokenRefresh: [.oauthRefresh]
        case .tokenClientSecret: [.clientSecret]
        case .introspectOwn: [.clientAccess]
        // Its own client's, and nobody else's (RFC 7009 §2.1).
        case .revoke: [.oauthAccess, .oauthRefresh]
        case .userinfo, .userinfoByPost: [.oauthAccess]
        case .browser: [.cookie]
        case .tokenDevice: [.deviceCode]
        case .devicePage: [.userCode]
        // What has scopes of a resource, by the clients that may be exchanged from.
        case .exchange: [.orders, .oauthAccess]
        }
    }

    /// The access token that a forger would begin with.
    var accessToken: TokenKind {
        switch self {
        case .sessions, .endSession, .consents, .withdrawConsent: .account
        case .explain, .adminAPI: .admin
        case .revoke, .userinfo, .userinfoByPost: .oauthAccess
        case .introspectOwn: .clientAccess
        default: .orders
        }
    }

    /// Whether the credential is taken here, by what it did rather than by what was said.
    ///
    /// - Parameter session: A live session of alice, for places that end one or need its refresh token.
    func takes(_ credential: String, _ test: TestNode, _ session: Answer, answers: inout [Answer]) async -> Bool {
        let text = String(decoding: JSONValue.string(credential).encoded, as: UTF8.self)
        let bearer = test.bearer(credential)
        let answer: Answer
        switch self {
        case .loginPassword: answer = await test.post("/login", #"{"username":"carol","password":\#(text)}"#)
        case .loginClientSecret: answer = await test.login("bob", more: #","client_id":"till","client_secret":\#(text)"#)
        case .refresh: answer = await test.post("/token/refresh", #"{"refresh_token":\#(text)}"#)
        case .refreshClientSecret:
            answer = await test.refresh(session.text("refresh_token"), more: #","client_id":"till","client_secret":\#(text)"#)
        case .validate, .validateForOrders:
            let audience = self == .validate ? "" : #","audience":"orders""#
            return await test.post("/validate", #"{"token":\#(text)\#(audience)}"#).json["valid"]?.bool == true
        case .explain: answer = await test.post("/validate", #"{"token":"x","explain":true}"#, headers: bearer)
        case .forwardAuth: answer = await test.send("GET", "/forward-auth", headers: bearer)
        case .gateway: return test.gateway("GET", "/orders", headers: bearer) == "forward"
        case .sessions: answer = await test.send("GET", "/sessions", headers: bearer)
        case .consents: answer = await test.send("GET", "/consents", headers: bearer)
        case .withdrawConsent:
            // There is none: who may ask is told so.
            answer = await test.send("DELETE", "/consents/nobody", headers: bearer)
            if answer.status == 404 { return true }
        case .endSession: answer = await test.send("DELETE", "/sessions/\(session.text("sid"))", headers: bearer)
        case .logoutByRefreshToken:
            _ = await test.post("/logout", #"{"refresh_token":\#(text)}"#)
            return await !test.isValid(session.text("access_token"))
        case .logoutByAccessToken:
            _ = await test.send("POST", "/logout", headers: bearer)
            return await !test.isValid(session.text("access_token"))
        case .adminAPI: answer = await test.send("GET", "/admin/keys", headers: bearer, to: .admin)
        case .tokenCode: answer = await TestClient().exchange(credential, test)
        case .tokenRefresh: answer = await TestClient().refresh(credential, test)
        case .tokenClientSecret:
            answer = await TestClient(id: "service", secret: credential).token(test, [("grant_type", "client_credentials")])
        case .introspect: return await test.isActive(credential)
        case .introspectOwn: return await test.isActive(credential, for: .service)
        case .revoke: return await isRevoked(credential, test)
        case .userinfo: answer = await test.send("GET", "/userinfo", headers: bearer)
        case .userinfoByPost: answer = await test.send("POST", "/userinfo", headers: bearer)
        case .tokenDevice:
            answer = await TestClient.tv.token(test, [("grant_type", TestClient.deviceGrant), ("device_code", credential)])
        case .devicePage: return await TestBrowser(test).enter(credential).title == "Sign in"
        case .exchange:
            let form = [
                ("grant_type", ExchangeScene.grant), ("subject_token", credential), ("subject_token_type", ExchangeScene.accessToken),
            ]
            return await TestClient(id: "relay", secret: ExchangeScene.secret).token(test, form).status == 200
        case .browser:
            let browser = TestBrowser(test)
            browser.cookies = [(name: "gatehouse-session", value: credential)]
            return await browser.get(TestClient().request([("prompt", "none")])).location?.contains("code=") == true
        }
        answers.append(answer)
        return answer.status < 300
    }

    /// Whether `web` ended it by asking for that: it lived before, and does no more.
    private func isRevoked(_ credential: String, _ test: TestNode) async -> Bool {
        func lives() async -> Bool {
            guard credential.hasPrefix("ghr_") else { return await test.isValid(credential) }
            // Without using it up; what is no such token lives as little.
            return (try? await test.node.firstParty.liveGrant(of: Secret(credential), at: test.clock.now)) != nil
        }
        let (before, answer) = (await lives(), await TestClient().post(test, "/revoke", [("token", credential)]))
        #expect(answer.status == 200 || (credential.isEmpty && answer.status == 400))
        if credential.hasPrefix("ghc_") { return await TestClient().exchange(credential, test).status != 200 }
        let after = await lives()
        return before && !after
    }
}

/// Every kind of credential that somebody may hold. A new kind is a row here.
enum TokenKind: String, CaseIterable, Sendable {
    case orders, account, admin, refresh, identity, clientSecret, password, otherIssuers, revoked, garbage, space, empty
    /// Of alice, by the client `web`; and the own one of `service`.
    case code, oauthAccess, oauthRefresh, idToken, cookie, form, clientAccess
    /// Of `tv`: the code of a device that alice has allowed, and what another one shows.
    case deviceCode, userCode

    func credential(_ test: TestNode, _ session: Answer, _ other: TestNode) async throws -> String {
        switch self {
        case .orders: return session.text("access_token")
        case .account, .admin:
            // Of the same session, so that ending it by any of them shows.
            return try await Forgery("of \(self)") { [self] in
                $0.claims["aud"] = .string("gatehouse")
                $0.claims["scope"] = .string("gatehouse:\(rawValue)")
            }.forged(from: session.text("access_token"), in: test)
        case .refresh: return session.text("refresh_token")
        case .identity:
            return try test.node.keys.sign(JSONValue.object(try session.claims()).encoded, as: .identity)
        case .clientSecret: return "0123456789abcdef0123456789abcdef"
        case .password: return "a-password-of-somebody"
        case .otherIssuers: return await other.login().text("access_token")
        case .revoked:
            let ended = await test.login()
            _ = await test.logout(ended.text("refresh_token"))
            return ended.text("access_token")
        case .garbage: return "garbage"
        case .space: return " "
        case .empty: return ""
        case .code: return try await test.authorized().code
        case .oauthAccess: return try await bought(test).text("access_token")
        case .oauthRefresh: return try await bought(test).text("refresh_token")
        case .idToken: return try await bought(test).text("id_token")
        case .cookie:
            let cookies = try await test.authorized().browser.cookies
            return try #require(cookies.first { $0.name == "gatehouse-session" }).value
        case .form:
            let page = await TestBrowser(test).get(TestClient().request())
            return try #require(page.fields.first { $0.name == "form" }).value
        case .deviceCode:
            let begun = try await TestClient.tv.begin(test)
            try await TestBrowser(test).allow(begun)
            return begun.text("device_code")
        case .userCode: return try await TestClient.tv.begin(test).text("user_code")
        case .clientAccess:
            return await TestClient.service.token(test, [("grant_type", "client_credentials")]).text("access_token")
        }
    }

    private func bought(_ test: TestNode) async throws -> Answer {
        let answer = await TestClient().exchange(try await test.authorized().code, test)
        try #require(answer.status == 200)
        return answer
    }
}

/// Matrix (b) of the security requirements: every kind of token × every place that takes a credential; only the diagonal succeeds
/// (RFC 8725 §3.11, §3.12, CVE-2023-0657).
@Suite("Matrix: kind of token × endpoint (JW-08…JW-11, RFC 8725 §3.12)")
struct TokenMatrix {
    private static func node() async throws -> TestNode {
        let resources = TestNode.matrixResources.replacing("roles: [customer]}", with: "roles: [customer, operator]}").replacing(
            "\nclients:", with: "\n  - {username: carol, password: a-password-of-somebody, roles: [customer]}\nclients:")
        // So many wrong passwords would be held back before they are looked at.
        return try await TestNode.matrix(["--lockout.free_attempts", "100"], resources: resources)
    }

    private func session(_ place: TokenPlace, _ test: TestNode) async throws -> Answer {
        let client = place == .refreshClientSecret ? #","client_id":"till","client_secret":"0123456789abcdef0123456789abcdef""# : ""
        let answer = await test.login(more: client)
        try #require(answer.status == 200)
        return answer
    }

    @Test("a credential of one kind never passes for another", arguments: TokenPlace.allCases)
    func kinds(_ place: TokenPlace) async throws {
        let (test, other) = (try await Self.node(), try await TestNode.start(["--issuer", "http://127.0.0.1:8080"]))
        var answers: [Answer] = []
        for kind in TokenKind.allCases {
            let session = try await session(place, test)
            let credential = try await kind.credential(test, session, other)
            let isTaken = await place.takes(credential, test, session, answers: &answers)
            #expect(isTaken == place.takes.contains(kind), "\(kind) at \(place)")
        }
        try expectOneRefusal(place, answers)
    }

    @Test(
        "an access token with one thing wrong is refused wherever it matters, signed by our own key or not", arguments: TokenPlace.allCases)
    func forgeries(_ place: TokenPlace) async throws {
        let test = try await Self.node()
        var answers: [Answer] = []
        var session = try await session(place, test)
        for (number, forgery) in Forgery.all.enumerated() {
            // So many wrong passwords in a row would end carol's sign-ins: her own begins the count anew.
            if place == .loginPassword, number % 20 == 19 {
                #expect(await test.login("carol", password: "a-password-of-somebody").status == 200)
            }
            let token = try await place.accessToken.credential(test, session, test)
            let forged = try await forgery.forged(from: token, in: test)
            let isTaken = await place.takes(forged, test, session, answers: &answers)
            #expect(isTaken == forgery.takenBy.contains(place), "\(forgery.name) at \(place)")
            if isTaken { session = try await self.session(place, test) }
        }
        try expectOneRefusal(place, answers)
    }

    /// JW-22, RFC 6750 §3.1: of two bad tokens nobody learns which was the better one.
    private func expectOneRefusal(_ place: TokenPlace, _ answers: [Answer]) throws {
        var seen = Set<String>()
        for answer in answers where answer.status >= 300 {
            #expect(answer.text("error_description").count > 10)
            let challenge = answer.header("www-authenticate") ?? ""
            seen.insert("\(answer.status) \(answer.error ?? "") \(challenge) \(answer.text("error_description"))")
            if answer.status == 401, TokenPlace.bearer.contains(place) { #expect(challenge.hasPrefix("Bearer realm=")) }
            #expect(answer.header("cache-control") == "no-store")
        }
        let codes = Set(answers.filter { $0.status >= 300 }.map { "\($0.status) \($0.error ?? "")" })
        let allowed: Set<String> =
            switch place {
            case .loginPassword: ["401 invalid_credentials", "400 invalid_request"]
            case .loginClientSecret, .refreshClientSecret: ["401 invalid_client", "400 invalid_request"]
            case .refresh: ["401 invalid_grant", "400 invalid_request"]
            case .explain: ["403 insufficient_scope", "400 invalid_request"]
            case .tokenCode, .tokenRefresh, .tokenDevice: ["400 invalid_grant", "400 invalid_request"]
            case .tokenClientSecret: ["401 invalid_client", "400 invalid_request"]
            case .sessions, .endSession, .consents, .withdrawConsent, .adminAPI, .forwardAuth, .userinfo, .userinfoByPost:
                ["401 invalid_token", "403 insufficient_scope", "400 invalid_request"]
            case .validate, .validateForOrders, .gateway, .logoutByRefreshToken, .logoutByAccessToken, .introspect, .introspectOwn,
                .revoke, .browser, .devicePage, .exchange:
                []
            }
        #expect(codes.isSubset(of: allowed), "\(codes)")
        // One text for each code.
        #expect(seen.count == codes.count, "\(seen)")
    }
}
