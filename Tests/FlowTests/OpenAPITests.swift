import AuthCore
import Testing
import WebServer

@testable import gatehouse

/// /openapi.json against the table of endpoints, and against what they answer.
@Suite("/openapi.json describes every endpoint")
struct OpenAPITests {
    private func document(_ test: TestNode) async throws -> JSONObject {
        try #require(try JSONReader.read(await test.send("GET", "/openapi.json", headers: []).body).object)
    }

    private func row(_ endpoint: Endpoint, _ document: JSONObject) -> JSONObject? {
        document["paths"]?.object?[endpoint.path]?.object?[endpoint.method.lowercased()]?.object
    }

    @Test("each row of the table is described, with the type of its body, and nothing else is")
    func complete() async throws {
        let test = try await TestNode.start()
        let document = try await document(test)
        for endpoint in test.shells.authRows {
            let operation = try #require(row(endpoint, document), "\(endpoint.method) \(endpoint.path)")
            let types = operation["requestBody"]?.object?["content"]?.object?.names ?? []
            switch endpoint.reads {
            case .nothing: #expect(types == [], "\(endpoint.path)")
            case .json: #expect(types == ["application/json"], "\(endpoint.path)")
            case .form: #expect(types == ["application/x-www-form-urlencoded"], "\(endpoint.path)")
            }
            let refusals = operation["responses"]?.object?["400"]?.object?["content"]?.object?.names ?? []
            #expect(refusals.contains("text/html") == endpoint.isPage, "\(endpoint.path)")
        }
        let rows = Set(test.shells.authRows.map { "\($0.method) \($0.path)" } + ["GET /forward-auth"])
        var described = Set<String>()
        for (path, methods) in document["paths"]?.object ?? JSONObject() {
            for name in methods.object?.names ?? [] { described.insert("\(name.uppercased()) \(path)") }
        }
        #expect(described == rows, "\(described.symmetricDifference(rows))")
    }

    @Test("whatever an endpoint answers, its status and the type of its body are described")
    func answers() async throws {
        let test = try await TestNode.oauth()
        let document = try await document(test)
        let token = await test.login(more: #","scope":"gatehouse:account""#).text("access_token")
        let client = "client_id=billing&client_secret=fedcba9876543210fedcba9876543210"
        let bodies = [
            "", "{}", "[", #"{"token":"x"}"#, "a=%", "\(client)&token=x&grant_type=client_credentials",
            "\(client)&grant_type=x", "client_id=web&response_type=code", "client_id=nobody",
        ]
        var seen = 0
        for endpoint in test.shells.authRows {
            let responses = try #require(row(endpoint, document)?["responses"]?.object)
            for body in bodies {
                for type in ["application/json", "application/x-www-form-urlencoded", "text/plain"] {
                    for headers in [[], test.bearer(token), test.bearer("x"), test.bearer(token) + test.bearer(token)] {
                        let path = endpoint.path.replacing("{sid}", with: "nobody") + (endpoint.isPage ? "?\(body)" : "")
                        let answer = await test.send(
                            endpoint.method, path, Array(body.utf8), headers: [("content-type", type)] + headers)
                        let described = responses[String(answer.status)]?.object
                        #expect(described != nil, "\(endpoint.method) \(path): \(answer.status)")
                        if !answer.body.isEmpty {
                            let essence = answer.header("content-type").map { $0.prefix { $0 != ";" } } ?? ""
                            #expect(
                                described?["content"]?.object?.names.contains(String(essence)) == true,
                                "\(endpoint.method) \(path): \(answer.status) \(essence)")
                        }
                        seen += 1
                    }
                }
            }
        }
        #expect(seen >= 2_000)
    }
}
