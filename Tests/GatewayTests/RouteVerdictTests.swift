import AuthCore
import Gateway
import Store
import Testing

@Suite("gatehouse verdict route")
struct RouteVerdictTests {
    private func verdict() throws -> RouteVerdict {
        RouteVerdict(
            try RouteTable(
                routes: [
                    .open("/public"), .needing("/orders", name: "orders") { $0.scope = ScopeSet(["orders:read"]) },
                    .to("/any") { $0.methods = ["GET"] },
                    .needing("/strong") {
                        $0.acrValues = ["2"]
                        $0.maxAge = .seconds(600)
                        $0.roles = ["a", "b"]
                        $0.audiences = ["x"]
                        $0.clients = ["c"]
                    },
                ], resources: [.of("orders", "orders:read")]))
    }

    private func answer(_ method: String, _ host: String?, _ target: [UInt8], id: JSONValue = .string("1")) throws -> String {
        let line = JSONObject([
            ("id", id), ("method", .string(method)), ("host", host.map { .string($0) } ?? .null),
            ("target_b64", .string(Base64.encode(target))),
        ])
        return String(decoding: JSONValue.object(try verdict().answer(line)).encoded, as: UTF8.self)
    }

    @Test("each outcome, to the letter")
    func outcomes() throws {
        let rows: [(String, String?, String, String)] = [
            (
                "GET", "gate.test", "/orders/1?x=%2f",
                #""accept","reason":null,"path":"/orders/1","route":"orders","require":{"scope":["orders:read"],"audience":["orders"]}}"#
            ),
            ("GET", nil, "/public", #""accept","reason":null,"path":"/public","route":"/public","require":"none"}"#),
            ("HEAD", "a:1", "/any/", #""accept","reason":null,"path":"/any/","route":"/any","require":{}}"#),
            (
                "PUT", "a", "/strong",
                #""accept","reason":null,"path":"/strong","route":"/strong","require":{"audience":["x"],"role":["a","b"],"client":["c"],"acr":["2"],"max_age":"10m"}}"#
            ),
            ("GET", "a", "/none", #""reject","reason":"no_route","path":"/none","route":null,"require":null}"#),
            (
                "POST", "a", "/any",
                #""reject","reason":"method_not_allowed","path":"/any","route":null,"require":null,"allow":"GET, HEAD"}"#
            ),
            (
                "GET", "a", "/public/../orders",
                #""reject","reason":"malformed","path":null,"route":null,"require":null,"detail":"dot_segment"}"#
            ),
            (
                "GET", "a b", "/public",
                #""reject","reason":"malformed","path":"/public","route":null,"require":null,"detail":"malformed_host"}"#
            ),
            ("G T", "a", "/any", #""reject","reason":"malformed","path":"/any","route":null,"require":null,"detail":"malformed_method"}"#),
            ("GET", "a", "", #""reject","reason":"malformed","path":null,"route":null,"require":null,"detail":"not_origin_form"}"#),
        ]
        for (method, host, target, expected) in rows {
            #expect(try answer(method, host, Array(target.utf8)) == #"{"id":"1","verdict":"# + expected, "\(method) \(target)")
        }
    }

    @Test("a target is bytes, not text")
    func bytes() throws {
        #expect(try answer("GET", "a", [0x2F, 0xFF]).contains(#""malformed""#))
        let line = JSONObject([("method", .string("GET")), ("host", .string("a")), ("target_b64", .string("L3B1YmxpYy8_Pz8"))])
        #expect(try verdict().answer(line)["route"] == .string("/public"), "base64url is read too")
        #expect(try verdict().answer(line)["id"] == .null)
    }

    @Test("a line that is no case is an error")
    func invalid() throws {
        let good: [(name: String, value: JSONValue)] = [
            ("method", .string("GET")), ("host", .string("a")), ("target_b64", .string("Lw==")),
        ]
        let lines: [JSONObject] =
            good.indices.map { left in JSONObject(good.enumerated().filter { $0.offset != left }.map(\.element)) } + [
                JSONObject(good.map { $0.name == "host" ? ($0.name, .bool(true)) : $0 }),
                JSONObject(good.map { $0.name == "method" ? ($0.name, .null) : $0 }),
                JSONObject(good.map { $0.name == "target_b64" ? ($0.name, .string("*")) : $0 }),
            ]
        for line in lines {
            let answer = try verdict().answer(line)
            #expect(answer["verdict"] == .string("error"), "\(line)")
            #expect(answer["reason"] == .string("invalid_case"), "\(line)")
        }
    }
}
