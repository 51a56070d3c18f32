import AuthCore
import HTTPEdge
import Testing

@Suite("A responder that another takes the place of")
struct LateResponderTests {
    private static func answering(_ body: String) -> Scripted {
        Scripted { _ in .answer(ResponseFacts(status: 200, body: Array(body.utf8))) }
    }

    @Test("each request asks anew, on a connection that stays open, and only the first that is installed counts")
    func install() throws {
        let late = LateResponder(first: Self.answering("first"))
        let edge = try EmbeddedEdge(late)
        func ask() throws -> String {
            try edge.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            return try edge.output()
        }
        #expect(try ask().hasSuffix("first"))
        late.install(Self.answering("second"))
        #expect(try ask().hasSuffix("second"))
        late.install(Self.answering("third"))
        #expect(try ask().hasSuffix("second"))
    }
}
