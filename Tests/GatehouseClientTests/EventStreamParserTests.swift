import GatehouseClient
import TestSupport
import Testing

@testable import GatehouseClient

@Suite("Server-sent events are taken apart")
struct EventStreamParserTests {
    private func read(_ text: String, limits: EventStreamParser.Limits = .init()) throws -> [ServerSentEvent] {
        var parser = EventStreamParser(limits: limits)
        return try parser.read(Array(text.utf8))
    }

    private func event(_ name: String, _ data: String, _ id: String = "") -> ServerSentEvent {
        ServerSentEvent(name: name, data: Array(data.utf8), lastEventID: id)
    }

    @Test(
        "the examples of the standard, and its corners",
        arguments: [
            ("data: a\n\n", [("message", "a", "")]), ("data: a\r\n\r\n", [("message", "a", "")]), ("data: a\r\r", [("message", "a", "")]),
            ("data: YHOO\ndata: +2\ndata: 10\n\n", [("message", "YHOO\n+2\n10", "")]),
            (
                ": test\n\ndata: first\nid: 1\n\ndata:second\nid\n\ndata:  third\n\n",
                [("message", "first", "1"), ("message", "second", ""), ("message", " third", "")]
            ),
            ("data\n\ndata\ndata\n\ndata:", [("message", "", ""), ("message", "\n", "")]),
            ("data:test\n\ndata: test\n\n", [("message", "test", ""), ("message", "test", "")]),
            ("event: x\nid: 7\n\ndata: y\n\n", [("message", "y", "7")]), ("\u{FEFF}data: a\n\n", [("message", "a", "")]),
            ("id: a\u{0}b\ndata: 1\n\n", [("message", "1", "")]), ("retry: 10\nother: 1\nevent: e\ndata: 1\n\n", [("e", "1", "")]),
            ("event: e\ndata: 1\n", []), ("event: e\r\nid: 1\r\ndata: 1\r\n\r\n", [("e", "1", "1")]), ("\n\n\n", []), ("DATA: x\n\n", []),
        ] as [(String, [(String, String, String)])])
    func standard(_ text: String, _ wanted: [(String, String, String)]) throws {
        #expect(try read(text) == wanted.map { event($0.0, $0.1, $0.2) })
    }

    @Test("however the bytes are cut, the events are the same, and no mutation traps or passes a limit")
    func fuzz() throws {
        var random = SeededGenerator(seed: 11)
        let base = Array("event: revoke\r\nid: e-1\r\ndata: {\"kind\":\"token\"}\r\n\r\n: x\n\ndata: a\rdata: é\n\nid\ndata\n\n".utf8)
        let alphabet: [UInt8] = [0x0A, 0x0D, 0x3A, 0x20, 0x00, 0xEF, 0xBB, 0xBF, 0xC3, 0x64]
        var limits = EventStreamParser.Limits()
        (limits.lineBytesMax, limits.dataBytesMax, limits.nameBytesMax) = (40, 60, 10)
        for _ in 0..<20_000 {
            var bytes = base
            for _ in 0..<Int.random(in: 0...6, using: &random) {
                let place = Int.random(in: 0..<bytes.count, using: &random)
                switch Int.random(in: 0...2, using: &random) {
                case 0: bytes[place] = alphabet.randomElement(using: &random) ?? 0
                case 1: bytes.insert(alphabet.randomElement(using: &random) ?? 0, at: place)
                default: bytes.remove(at: place)
                }
            }
            func outcome(_ parts: [ArraySlice<UInt8>]) -> ([ServerSentEvent], EventStreamParser.Failure?) {
                var parser = EventStreamParser(limits: limits)
                var events: [ServerSentEvent] = []
                for part in parts {
                    // A failing part gives no events; byte by byte the ones before it were given.
                    do throws(EventStreamParser.Failure) { events += try parser.read(part) } catch { return (events, error) }
                }
                return (events, nil)
            }
            let whole = outcome([bytes[...]])
            let single = outcome(bytes.indices.map { bytes[$0...$0] })
            #expect(whole.1 == single.1)
            if whole.1 == nil { #expect(whole.0 == single.0) }
            for event in single.0 { #expect(event.data.count <= limits.dataBytesMax && event.name.utf8.count <= 10) }
        }
    }

    @Test("a line, an event or a name without end is refused, not kept")
    func limits() {
        var limits = EventStreamParser.Limits()
        (limits.lineBytesMax, limits.dataBytesMax, limits.nameBytesMax) = (100, 150, 10)
        let long = String(repeating: "x", count: 90)
        #expect(throws: EventStreamParser.Failure.lineTooLong) { try read(String(repeating: "x", count: 101), limits: limits) }
        #expect(throws: EventStreamParser.Failure.dataTooLong) { try read("data: \(long)\ndata: \(long)\n", limits: limits) }
        #expect(throws: EventStreamParser.Failure.nameTooLong) { try read("event: elevenbytes\n", limits: limits) }
        #expect(throws: EventStreamParser.Failure.nameTooLong) { try read("id: elevenbytes\n", limits: limits) }
        var parser = EventStreamParser()
        #expect(throws: EventStreamParser.Failure.invalidUTF8) { try parser.read(Array("data: ".utf8) + [0xFF, 0x0A, 0x0A]) }
    }
}
