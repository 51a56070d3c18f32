import AuthCore
import Gateway
import Store
import Testing

@Suite("Routes: what a table refuses to be built from")
struct RouteTableErrorTests {
    private func fault(_ routes: [RouteDefinition], resources: [ResourceDefinition] = []) -> RouteTableError.Fault? {
        do throws(RouteTableError) {
            _ = try RouteTable(routes: routes, resources: resources)
            return nil
        } catch {
            #expect(!error.description.isEmpty)
            return error.fault
        }
    }

    @Test(
        "a path that could never match, or matches in two spellings, is refused",
        arguments: [
            ("orders", .path(.notOriginForm)), ("", .path(.notOriginForm)), ("/a//b", .path(.emptySegment)),
            ("/a/../b", .path(.dotSegment)),
            ("/a%2fb", .path(.escapeNotAllowed)), ("/%61", .path(.escapeNotAllowed)), ("/a;b", .path(.pathParameter)),
            ("/é", .path(.byteNotAllowed)), ("/a%", .path(.brokenEscape)), ("/a?b", .pathHasQuery), ("/a?", .pathHasQuery),
            ("/a/", .pathHasTrailingSlash), ("/.gatehouse", .pathReserved), ("/.gatehouse/x", .pathReserved),
            (String(repeating: "/a", count: 65), .pathTooDeep),
        ] as [(String, RouteTableError.Fault)]
    )
    func path(path: String, expected: RouteTableError.Fault) {
        #expect(fault([.open(path, name: "a")]) == expected)
    }

    @Test(
        "a host is a name in lower case without a port", arguments: ["API.test", "api.test:80", "api.test.", "", "[::1]", "*.test", "a b"])
    func host(host: String) {
        #expect(fault([.open("/") { $0.host = host }]) == .host)
    }

    @Test("CONNECT and TRACE cannot be listed, nor what is no token", arguments: ["CONNECT", "TRACE", "trace", "PRI", "", "A B", "É"])
    func method(method: String) {
        #expect(fault([.open("/") { $0.methods = ["GET", method] }]) == .method(method))
    }

    @Test("a list of methods or upstreams is not empty, an upstream has no path")
    func lists() {
        #expect(fault([.open("/") { $0.methods = [] }]) == .methodsEmpty)
        #expect(fault([.open("/") { $0.upstreams = [] }]) == .upstreamsEmpty)
        #expect(fault([.open("/") { $0.upstreams = ["http://a/b"] }]) == .upstream("http://a/b"))
        #expect(fault([.open("/", name: "")]) == .nameMissing)
        #expect(fault([.open("/a", name: "x"), .open("/b", name: "x")]) == .nameRepeated)
        #expect(fault([.open("/a", name: "\u{212A}"), .open("/b", name: "K")]) == nil, "names compare by bytes")
    }

    @Test("what goes between quotes in a challenge has no quote")
    func quotes() {
        #expect(fault([.needing("/") { $0.acrValues = ["a\"b"] }]) == .acr("a\"b"))
        #expect(fault([.needing("/") { $0.acrValues = ["a b"] }]) == .acr("a b"))
        #expect(fault([.needing("/") { $0.acrValues = ["a\r\nb"] }]) == .acr("a\r\nb"))
        #expect(fault([.needing("/") { $0.scope = ScopeSet(["a\"b"]) }]) == .scope("a\"b"))
        #expect(fault([.needing("/") { $0.maxAge = .seconds(-1) }]) == .maxAge)
        #expect(fault([.needing("/") { $0.acrValues = ["urn:x:2"] }]) == nil)
    }

    @Test("a scope belongs to one resource")
    func owners() {
        #expect(fault([], resources: [.of("a", "s"), .of("b", "s")]) == .scopeHasTwoOwners("s"))
        #expect(fault([], resources: [.of("a", "s"), .of("b", "t")]) == nil)
    }

    @Test("equal matches are an error; the same path with other methods or another host is none")
    func equal() {
        func routes(_ a: [String]?, _ b: [String]?) -> [RouteDefinition] {
            [.open("/x", name: "a") { $0.methods = a }, .open("/x", name: "b") { $0.methods = b }]
        }
        #expect(fault(routes(nil, nil)) == .equalMatch(other: "a"))
        #expect(fault(routes(["GET"], ["GET"])) == .equalMatch(other: "a"))
        #expect(fault(routes(["GET"], nil)) == .equalMatch(other: "a"))
        #expect(fault(routes(["GET"], ["HEAD"])) == .equalMatch(other: "a"), "GET includes HEAD")
        #expect(fault(routes(["GET"], ["POST", "GET"])) == .equalMatch(other: "a"))
        #expect(fault(routes(["GET"], ["POST"])) == nil)
        #expect(fault([.open("/x", name: "a"), .open("/x", name: "b") { $0.host = "h" }]) == nil)
        #expect(fault([.open("/%C3%A9", name: "a"), .open("/%c3%a9", name: "b")]) == .equalMatch(other: "a"))
        #expect(fault([.open("/@x", name: "a"), .open("/%40x", name: "b")]) == .equalMatch(other: "a"))
    }

    @Test("a table has a largest size")
    func size() {
        let many = (0...RouteTable.routesMax).map { RouteDefinition.open("/\($0)") }
        #expect(fault(many) == .tooManyRoutes)
        #expect(fault(Array(many.dropLast())) == nil)
    }
}
