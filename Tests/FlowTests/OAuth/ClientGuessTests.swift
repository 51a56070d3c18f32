import AuthCore
import Crypto
import Foundation
import OAuthServer
import Testing

@testable import gatehouse

private let here = PeerAddress(v4: 0xC000_0201)
private let elsewhere = PeerAddress(v4: 0xC000_0202)
private let right = "fedcba9876543210fedcba9876543210"

@Suite("CA-14: guesses at the secrets of clients, at every endpoint that takes one", .timeLimit(.minutes(2)))
struct ClientGuessTests {
    /// How a secret is sent.
    struct Place: Sendable, CustomTestStringConvertible {
        let target: String
        var method = "POST"
        /// Instead of a form.
        var json: String?
        var isBasic = true
        var testDescription: String { "\(method) \(target), \(isBasic ? "Basic" : "body")" }
    }

    static let places: [Place] =
        ["/token", "/par", "/introspect", "/revoke", "/device_authorization"].flatMap {
            [Place(target: $0), Place(target: $0, isBasic: false)]
        } + [
            Place(target: "/login", json: #"{"username":"alice","password":"x"}"#),
            Place(target: "/token/refresh", json: #"{"refresh_token":"x"}"#), Place(target: "/validate", json: #"{"token":"x"}"#),
            Place(target: "/events/revocations", method: "GET"),
        ]

    private func send(
        _ test: TestNode, _ place: Place, _ secret: String, client: String = "billing", from address: PeerAddress = here,
        headers more: [(String, String)] = []
    ) async -> Answer {
        var headers = [("content-type", place.json == nil ? "application/x-www-form-urlencoded" : "application/json")] + more
        var form: [(name: String, value: String)] = [("grant_type", "client_credentials"), ("token", "x")]
        if place.isBasic {
            headers.append(("authorization", "Basic " + Base64.encode(Array("\(client):\(secret)".utf8))))
        } else {
            form += [("client_id", client), ("client_secret", secret)]
        }
        let body = place.method == "GET" ? [] : Array((place.json ?? FormParameters(form).encoded).utf8)
        return await test.send(place.method, place.target, body, headers: headers, from: address)
    }

    private func wrong(_ number: Int) -> String { String(format: "%032d", number) }

    private func isRefused(_ answer: Answer) -> Bool { answer.status == 401 && answer.error == "invalid_client" }

    @Test(
        "the sixth from one address is 429 unlooked at, the right one too; from another address, and after the wait, the right one works",
        arguments: ClientGuessTests.places)
    func limited(_ place: Place) async throws {
        let test = try await TestNode.oauth(["--validate.require_client", "true"])
        for client in ["billing", "nobody"] {
            for number in 0..<5 { #expect(isRefused(await send(test, place, wrong(number), client: client)), "\(client) \(number)") }
            for secret in [wrong(6), right] {
                let late = await send(test, place, secret, client: client)
                #expect(late.status == 429 && late.error == "too_many_attempts" && late.header("retry-after") == "1", "\(client)")
                #expect(late.header("www-authenticate") == nil)
            }
        }
        let proved = await send(test, place, right, from: elsewhere)
        #expect(proved.status != 429 && proved.error != "invalid_client", "\(proved.status)")
        try await test.advance(.seconds(1))
        let again = await send(test, place, right)
        #expect(again.status != 429 && again.error != "invalid_client", "\(again.status)")
    }

    @Test("one place's guesses count at every other")
    func together() async throws {
        let test = try await TestNode.oauth(["--validate.require_client", "true"])
        for (number, place) in Self.places.prefix(5).enumerated() { #expect(isRefused(await send(test, place, wrong(number)))) }
        for place in Self.places { #expect(await send(test, place, right).status == 429, "\(place.target)") }
    }

    @Test("of 64 guesses at once five are evaluated")
    func race() async throws {
        let test = try await TestNode.oauth()
        let seen = await withTaskGroup(of: Int.self) { group in
            for number in 0..<64 { group.addTask { await send(test, Self.places[number % 8], wrong(number)).status } }
            return await group.reduce(into: [Int: Int]()) { $0[$1, default: 0] += 1 }
        }
        #expect(seen == [401: 5, 429: 59])
    }

    @Test("an instance with an old secret, however often it asks, does not stop the others behind its address")
    func oldSecret() async throws {
        let test = try await TestNode.oauth()
        for _ in 0..<60 {
            #expect(isRefused(await send(test, Self.places[0], wrong(1))))
            #expect(await send(test, Self.places[0], right).status == 200)
        }
        // Nor those of other clients, which have not proved themselves from there yet.
        #expect(await send(test, Self.places[0], "0123456789abcdef0123456789abcdef", client: "shop").status == 200)
    }

    @Test("the address is the client's, as believed proxies name it, from memory too")
    func proxies() async throws {
        let test = try await TestNode.oauth(["--trusted_proxies", "192.0.2.1"])
        func via(_ place: Place, _ secret: String, _ client: String) async -> Answer {
            await send(test, place, secret, headers: [("x-forwarded-for", client)])
        }
        for number in 0..<5 { #expect(isRefused(await via(Self.places[4], wrong(number), "198.51.100.1"))) }
        for place in Self.places.prefix(8) {
            #expect(await via(place, right, "198.51.100.1").status == 429, "\(place.target)")
            #expect(await via(place, right, "198.51.100.2").status != 429, "\(place.target)")
        }
        // Who is no such proxy cannot say that they are somebody else.
        for number in 0..<6 {
            _ = await send(test, Self.places[4], wrong(number), from: elsewhere, headers: [("x-forwarded-for", "198.51.100.\(number)")])
        }
        #expect(await send(test, Self.places[4], right, from: elsewhere, headers: [("x-forwarded-for", "198.51.100.9")]).status == 429)
    }

    @Test("fifty of an address over many clients; the operator is told of the address and of the client")
    func sprayed() async throws {
        let lines = Lines()
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("gatehouse-flow-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        let test = try await TestNode(
            folder: folder, storage: "sqlite:\(folder.path)/gatehouse.db", settings: [], resources: TestNode.oauthResources, log: lines.log)
        #expect(await send(test, Self.places[0], right).status == 200)
        var statuses: [Int] = []
        for number in 0..<60 { statuses.append(await send(test, Self.places[0], wrong(0), client: "c\(number)").status) }
        #expect(statuses == [Int](repeating: 401, count: 50) + [Int](repeating: 429, count: 10))
        #expect(lines.all.contains { $0.hasPrefix("warning client_guesses_limited client= source=192.0.2.1 seconds=1") })
        // The client that has proved itself from there goes on.
        #expect(await send(test, Self.places[0], right).status == 200)
        for number in 0..<5 { _ = await send(test, Self.places[0], wrong(number), from: elsewhere) }
        #expect(lines.all.contains { $0.hasPrefix("warning client_guesses_limited client=billing source=192.0.2.2 seconds=1") })
        #expect(await send(test, Self.places[0], right, from: elsewhere).status == 429)
        #expect(lines.all.contains { $0.contains("request_refused") && $0.contains("reason=client_guesses_limited") })
        #expect(!lines.all.contains { $0.contains(wrong(1)) || $0.contains(right) })
    }

    @Test("client_secret_jwt: a MAC by another secret is a guess; one by the right secret that is too old is none, nor is a wrong key")
    func macs() async throws {
        let key = try ProvingClient()
        let test = try await TestNode.proving(key)
        func claims(_ id: String, _ offset: Int64 = 60) -> JSONObject {
            JSONObject([
                ("iss", .string(id)), ("sub", .string(id)), ("aud", .string("http://localhost:8080")), ("jti", .string(UUID().uuidString)),
                ("exp", .number(JSONNumber(test.clock.now.seconds + offset))),
            ])
        }
        func mac(_ secret: String, _ claims: JSONObject) -> String {
            let input = Base64URL.encode(Array(#"{"alg":"HS256"}"#.utf8)) + "." + Base64URL.encode(JSONValue.object(claims).encoded)
            let code = HMAC<SHA256>.authenticationCode(for: Array(input.utf8), using: SymmetricKey(data: Array(secret.utf8)))
            return input + "." + Base64URL.encode(Array(code))
        }
        let secret = "0123456789abcdef0123456789abcdef"
        for _ in 0..<9 { #expect(isRefused(await test.asserted(mac(secret, claims("sharer", -3_600))))) }
        #expect(await test.asserted(mac(secret, claims("sharer"))).status == 200)
        for client in ["sharer", "signer", "plain", "nobody"] {
            for number in 0..<5 { #expect(isRefused(await test.asserted(mac(wrong(number), claims(client))))) }
            #expect(await test.asserted(mac(wrong(9), claims(client))).status == 429, "\(client)")
        }
        #expect(await test.asserted(mac(secret, claims("sharer"))).status == 429)
        // The one with a key is no guess, and waits for none that came as secrets.
        let other = try ProvingClient()
        for _ in 0..<9 { #expect(isRefused(await test.asserted(try other.signed(claims("signer"))))) }
        #expect(await test.asserted(try key.signed(claims("signer"))).status == 200)
    }
}

@Suite("TK-39, PA-12: so many in a minute", .timeLimit(.minutes(1)))
struct RateTests {
    private let billing = TestClient(id: "billing", secret: right)
    private let api = TestClient(id: "orders-api", secret: "00112233445566778899aabbccddeeff")

    @Test(
        "RFC 7662 §4: past the inactive answers of a client everything that it asks is 429, until the minute is over; others are not held up"
    )
    func introspection() async throws {
        let test = try await TestNode.oauth(["--introspection.inactive_per_minute", "6"])
        let token = await billing.token(test, [("grant_type", "client_credentials"), ("scope", "orders:read")]).text("access_token")
        // Of what is active there may be any number.
        for _ in 0..<20 { #expect(await billing.post(test, "/introspect", [("token", token)]).json["active"]?.bool == true) }
        // From memory and from the store, together.
        for other in ["x", "ghr_x", "a.b.c", "ghr_y", "z", token + "x"] {
            let answer = await billing.post(test, "/introspect", [("token", other)])
            #expect(answer.status == 200 && answer.json["active"]?.bool == false, "\(other)")
        }
        for other in ["x", "ghr_x", token] {
            let late = await billing.post(test, "/introspect", [("token", other)])
            #expect(late.status == 429 && late.error == "too_many_attempts" && late.header("retry-after") == "60", "\(other)")
        }
        #expect(await api.post(test, "/introspect", [("token", token)]).json["active"]?.bool == true)
        // It may get tokens meanwhile.
        #expect(await billing.token(test, [("grant_type", "client_credentials")]).status == 200)
        try await test.advance(.seconds(60))
        #expect(await billing.post(test, "/introspect", [("token", token)]).json["active"]?.bool == true)
        #expect(await billing.post(test, "/introspect", [("token", "x")]).status == 200)
    }

    @Test("of 64 questions at once as many are answered as there may be")
    func race() async throws {
        let test = try await TestNode.oauth(["--introspection.inactive_per_minute", "10"])
        let seen = await withTaskGroup(of: Int.self) { group in
            for number in 0..<64 {
                group.addTask { await billing.post(test, "/introspect", [("token", number % 2 == 0 ? "ghr_x" : "x")]).status }
            }
            return await group.reduce(into: [Int: Int]()) { $0[$1, default: 0] += 1 }
        }
        #expect(seen == [200: 10, 429: 54])
    }

    @Test(
        "RFC 9126 §2.3: 429 past the requests of a client, by client where it proves itself, by address where it is public; 413 for too large"
    )
    func pushed() async throws {
        let test = try await TestNode.oauth(["--par.per_minute", "30"])
        func push(_ client: TestClient, _ more: [(String, String)] = [], from address: PeerAddress = here) async -> Answer {
            let query = String(client.request(more).split(separator: "?")[1])
            let secret = client.secret.map { "&client_secret=\($0)" } ?? ""
            return await test.send(
                "POST", "/par", Array((query + secret).utf8), headers: [("content-type", "application/x-www-form-urlencoded")],
                from: address)
        }
        let web = TestClient()
        for _ in 0..<3 { #expect(await push(web).status == 201) }
        let late = await push(web)
        #expect(late.status == 429 && late.error == "too_many_attempts" && late.header("retry-after") == "60")
        #expect(await push(web, from: elsewhere).status == 201)
        let shop = TestClient(id: "shop", secret: "0123456789abcdef0123456789abcdef", redirectURI: "https://shop.example.com/cb")
        // One that is refused is counted too.
        for number in 0..<30 {
            #expect(await push(shop, number % 2 == 0 ? [] : [("scope", "nothing")]).status == (number % 2 == 0 ? 201 : 400))
        }
        #expect(await push(shop, from: elsewhere).status == 429)
        #expect(await push(TestClient(id: "shop", secret: "x", redirectURI: shop.redirectURI), from: elsewhere).status == 401)
        try await test.advance(.seconds(60))
        #expect(await push(shop).status == 201)
        #expect(await push(web, [("state", String(repeating: "s", count: 65_600))]).status == 413)
    }
}
