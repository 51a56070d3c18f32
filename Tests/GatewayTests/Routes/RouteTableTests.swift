import AuthCore
import Gateway
import Store
import Testing

@Suite("Routes: which one takes a request")
struct RouteTableTests {
    @Test(
        "a path is a prefix by whole segments, the longest wins",
        arguments: [
            ("/orders", "/orders"), ("/orders/", "/orders"), ("/orders/1", "/orders"), ("/orders?x=/admin", "/orders"),
            ("/orders/admin", "/orders/admin"), ("/orders/admin/x", "/orders/admin"), ("/orders/admins", "/orders"),
            ("/ordersx", "404 no_route"), ("/order", "404 no_route"), ("/Orders", "404 no_route"), ("/", "404 no_route"),
            ("/xorders", "404 no_route"), ("/a/b/c/d", "/a/b/c"), ("/a/b", "404 no_route"), ("/a/b/cc", "404 no_route"),
        ]
    )
    func prefix(target: String, outcome: String) throws {
        let gate = try Gate([.open("/orders"), .open("/orders/admin"), .open("/a/b/c")])
        #expect(gate.decide(target).outcome == outcome)
    }

    @Test("a route at / takes what no other takes", arguments: [("/", "/"), ("/x/y", "/"), ("/orders/1", "/orders")])
    func root(target: String, route: String) throws {
        #expect(try Gate([.open("/"), .open("/orders")]).decide(target).route == route)
    }

    @Test("the canonical target is forwarded unchanged (GW-02)", arguments: ["/orders/a%40b/?q=%2f;x", "/orders/caf%c3%a9", "/orders?"])
    func forwarded(target: String) throws {
        #expect(try Gate([.open("/orders")]).decide(target).plan?.target == Array(target.utf8))
    }

    @Test(
        "the routes of a host go before those of every host, whatever their length",
        arguments: [
            ("api.test", "/orders/1", "api-orders"), ("API.Test:8443", "/orders/1", "api-orders"), ("api.test.", "/orders/1", "api-orders"),
            ("api.test", "/orders/admin", "api-orders"), ("api.test", "/other", "all"), ("other.test", "/orders/admin", "all-admin"),
            ("xapi.test", "/orders/1", "all"), ("api.test.evil.test", "/orders/1", "all"), ("api.tes", "/orders", "all"),
            ("127.0.0.1", "/orders", "all"), ("[::1]:80", "/orders", "all"), ("b.test", "/x", "b"),
        ]
    )
    func hosts(host: String, target: String, route: String) throws {
        let gate = try Gate([
            .open("/", name: "all"), .open("/orders/admin", name: "all-admin"),
            .open("/orders", name: "api-orders") { $0.host = "api.test" },
            .open("/", name: "b") { $0.host = "b.test" },
        ])
        #expect(gate.decide(target, host: host).route == route)
    }

    @Test("a bad Host is 400", arguments: ["", "a b", "a:b", "user@gate.test", "gate.test/x", "é", "a,b"])
    func badHost(host: String) throws {
        #expect(try Gate([.open("/")]).decide("/", host: host).outcome == "400 malformed_host")
    }

    @Test("a missing or repeated Host is 400; HTTP/1.0 may lack it and gets the routes of every host")
    func hostCount() throws {
        let gate = try Gate([.open("/", name: "all"), .open("/", name: "own") { $0.host = "gate.test" }])
        #expect(gate.decide("/", host: nil).outcome == "400 malformed_host")
        #expect(gate.decide("/", [("HOST", "gate.test")]).outcome == "400 malformed_host")
        var request = RequestFacts(method: "GET", target: Array("/".utf8))
        request.isVersion10 = true
        #expect(Seen(gate.decider.decide(request)).route == "all")
        request.headers = Headers([("host", "gate.test"), ("Host", "gate.test")])
        #expect(Seen(gate.decider.decide(request)).outcome == "400 malformed_host")
    }

    @Test(
        "a method that the place does not list is 405, never a shorter route (GW-04, GW-09)",
        arguments: [
            ("GET", "/listed", "listed"), ("HEAD", "/listed", "listed"), ("POST", "/listed", "listed"), ("get", "/listed", "405"),
            ("Get", "/listed", "405"), ("DELETE", "/listed", "405"), ("CONNECT", "/listed", "405"), ("TRACE", "/listed", "405"),
            ("BREW", "/listed", "405"), ("", "/listed", "400"), ("GE T", "/listed", "400"), ("GET\r\n", "/listed", "400"),
            ("É", "/listed", "400"),
            ("GET", "/", "all"), ("DELETE", "/", "all"), ("PROPFIND", "/", "all"), ("OPTIONS", "/", "all"), ("CONNECT", "/", "405"),
            ("TRACE", "/", "405"), ("PRI", "/", "405"), ("trace", "/", "405"), ("get", "/", "405"), ("GET", "/write", "read"),
            ("PUT", "/write", "write"), ("HEAD", "/write/x", "read"), ("POST", "/write", "405"), ("HEAD", "/post", "405"),
            ("purge", "/own", "own"),
        ]
    )
    func methods(method: String, target: String, outcome: String) throws {
        let gate = try Gate([
            .open("/", name: "all"), .open("/listed", name: "listed") { $0.methods = ["GET", "POST"] },
            .open("/write", name: "read") { $0.methods = ["GET"] }, .open("/write", name: "write") { $0.methods = ["PUT", "DELETE"] },
            .open("/post", name: "post") { $0.methods = ["POST"] }, .open("/own", name: "own") { $0.methods = ["purge"] },
        ])
        let seen = gate.decide(target, method: method)
        #expect(seen.route == outcome || seen.status.map(String.init) == outcome, "\(seen.outcome)")
    }

    @Test("405 says what is allowed, of all routes of the place (RFC 9110 §15.5.6)")
    func allow() throws {
        let gate = try Gate([
            .open("/a", name: "1") { $0.methods = ["GET", "POST"] }, .open("/a", name: "2") { $0.methods = ["PUT"] },
            .open("/b", name: "3"),
        ])
        #expect(gate.decide("/a", method: "DELETE").header("allow") == "GET, POST, HEAD, PUT")
        #expect(gate.decide("/a", method: "DELETE").reason == "method_not_allowed")
        #expect(gate.decide("/b", method: "TRACE").header("allow") == "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS")
    }

    @Test(
        "a path that leads elsewhere once decoded is refused (GW-02)",
        arguments: [
            ("/users/@me", "me"), ("/users/%40me", "400 ambiguous_path"), ("/users/%2540me", "400 ambiguous_path"),
            ("/users/alice%40test", "users"), ("/users/x/%40me", "users"), ("/caf%C3%A9", "café"), ("/caf%c3%a9", "400 ambiguous_path"),
            ("/caf%c3%a9s", "404 no_route"), ("/a%24b", "400 ambiguous_path"), ("/a%24c", "404 no_route"),
            ("/users/@me%3Fx", "400 ambiguous_path"), ("/users/@me%23", "400 ambiguous_path"), ("/users/@me%253Fx", "400 ambiguous_path"),
            ("/users/x%23/@me", "users"), ("/users/What%3F", "users"), ("/users/C%23%3F", "users"), ("/users%3Fx", "400 ambiguous_path"),
            ("/.gatehouse%3Fx", "404 no_route"), ("/x%3F%23", "404 no_route"),
        ]
    )
    func ambiguous(target: String, outcome: String) throws {
        let gate = try Gate([
            .open("/users", name: "users"), .open("/users/@me", name: "me"), .open("/caf%C3%A9", name: "café"),
            .open("/a$b", name: "dollar"),
        ])
        #expect(gate.decide(target).outcome == outcome)
    }

    @Test("/.gatehouse belongs to the gateway", arguments: ["/.gatehouse", "/.gatehouse/", "/.gatehouse/callback"])
    func reserved(target: String) throws {
        #expect(try Gate([.open("/")]).decide(target).outcome == "404 no_route")
        #expect(try Gate([.open("/")]).decide("/.gatehousex").route == "/")
    }

    @Test("the table of docs/guides/routes.md is true")
    func guide() throws {
        let gate = try Gate([
            .open("/orders", name: "orders") { $0.methods = ["GET", "POST"] },
            .open("/orders/refunds", name: "refunds") { $0.methods = ["POST"] },
            .open("/orders/health", name: "health") { $0.methods = ["GET"] },
            .open("/", name: "back-office") { $0.host = "office.example.com" },
        ])
        #expect(gate.decide("/orders/7").route == "orders")
        #expect(gate.decide("/orders/", method: "HEAD").route == "orders")
        #expect(gate.decide("/orders/refunds/7", method: "POST").route == "refunds")
        #expect(gate.decide("/orders/refunds").header("allow") == "POST")
        #expect(gate.decide("/orders/health/db").route == "health")
        #expect(gate.decide("/orders", method: "DELETE").header("allow") == "GET, POST, HEAD")
        #expect(gate.decide("/orders", host: "office.example.com").route == "back-office")
        #expect(gate.decide("/ordersx").outcome == "404 no_route")
    }

    @Test("no routes: every request is 404")
    func empty() throws {
        #expect(GatewayState().routes.routes.isEmpty)
        #expect(try Gate([]).decide("/").outcome == "404 no_route")
    }
}
