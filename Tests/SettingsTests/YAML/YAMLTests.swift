import Testing

@testable import Settings

@Suite("YAML as Gatehouse reads it")
struct YAMLTests {
    func fault(_ text: String) -> YAMLFault? {
        do {
            _ = try YAMLReader.read(Array(text.utf8), path: "f")
            return nil
        } catch { return error }
    }

    @Test(
        "scalars stay text",
        arguments: ["yes", "010", "10m", "no", "orders:read", "1e3", "0x10", "2024-01-01", "True", "a*b", "a &b", "it's", "x#y", "a|b"])
    func text(text: String) throws {
        let node = try #require(try YAMLReader.read(Array("k: \(text)".utf8), path: "f"))
        guard case .mapping(let members) = node.content, case .plain(let read) = members[0].value.content else {
            Issue.record("no text")
            return
        }
        #expect(read == text)
        #expect(members[0].place == Place(file: "f", line: 1, column: 1) && members[0].value.place == Place(file: "f", line: 1, column: 4))
    }

    @Test("nothing, ~ and null are null without quotes only")
    func null() throws {
        for text in ["k:", "k: ~", "k: null"] {
            guard case .mapping(let members)? = try YAMLReader.read(Array(text.utf8), path: "f")?.content else { continue }
            #expect(members[0].value.isNull)
        }
        guard case .mapping(let members)? = try YAMLReader.read(Array("k: 'null'".utf8), path: "f")?.content else { return }
        #expect(members[0].value.text == "null")
    }

    @Test(
        "what changes the meaning of text is refused, with its place",
        arguments: [
            ("a: &x 1", 1, 4), ("a: 1\nb: *x", 2, 4), ("- *x", 1, 3), ("[a, *x]", 1, 5), ("{a: *x}", 1, 5), ("{\"a\":*x}", 1, 6),
            ("{'a':*x}", 1, 6),
            ("? *x\n: 1", 1, 3), ("*x : 1", 1, 1), ("a:\n  - - *x", 2, 7), ("[[*x]]", 1, 3), ("--- *x", 1, 5), ("a: # c\n  *x", 2, 3),
            ("a: !!str 1", 1, 4),
            ("a: !x 1", 1, 4), ("a: |\n  t", 1, 4), ("a: >\n  t", 1, 4), ("%YAML 1.1\n---\na: 1", 1, 1), ("a: 'x' \nb: *x", 2, 4),
            ("a: \"x\\\"\" \nb: *x", 2, 4),
            ("a: 'it''s'\nb: &x", 2, 4), ("{a: b, c: &x d}", 1, 11), ("a: b c: d\n*x", 2, 1), ("[a,*x]", 1, 4), ("[:*x]", 1, 3),
        ]
    )
    func refused(text: String, line: Int, column: Int) {
        let fault = self.fault(text)
        #expect(fault?.place == Place(file: "f", line: line, column: column), "\(String(describing: fault))")
    }

    @Test(
        "the same characters in quotes, comments and inside words are fine",
        arguments: ["a: '&x *y !z | >'", "a: \"*x\" # *y &z", "# *x\na: 1", "a: b*c&d!e|f>g", "a: [b*c, d&e]"])
    func accepted(text: String) { #expect(fault(text) == nil) }

    @Test(
        "what no editor shows is refused",
        arguments: ["a: \u{0}", "a: \u{7F}", "a: \u{85}b", "a: \u{2028}b", "\u{FEFF}a: 1", "a: 1\rb: 2", "a: \u{1B}[31m"]
    )
    func control(text: String) { #expect(fault(text) != nil) }

    @Test("a file that is not UTF-8 is refused with its line")
    func encoding() {
        do {
            _ = try YAMLReader.read(Array("a: 1\nb: ".utf8) + [0xFF, 0xFE], path: "f")
            Issue.record("accepted")
        } catch { #expect(error.place.line == 2 && error.message == "the file is not UTF-8") }
    }

    @Test("size, depth and count have an end")
    func bounds() {
        #expect(fault(String(repeating: "#", count: 1_000_001))?.message == "the file is larger than 1 MB")
        #expect(fault("a: " + String(repeating: "[", count: 500_000))?.message == "nested too deeply")
        #expect(fault("a: " + String(repeating: "{a: ", count: 1_000))?.message == "nested too deeply")
        #expect(fault(String(repeating: "- ", count: 1_000))?.message == "nested too deeply")
        #expect(
            fault((0..<400).map { String(repeating: " ", count: $0) + "a:" }.joined(separator: "\n"))?.message
                == "the line is indented too far")
        #expect(fault((0..<100).map { String(repeating: " ", count: $0) + "a:" }.joined(separator: "\n"))?.message == "nested too deeply")
        #expect(fault("[" + String(repeating: "a,", count: 120_000) + "]")?.message == "the file has more than 100000 values")
    }

    @Test(
        "broken YAML is refused with a place and without its text",
        arguments: [
            "a: [", "a: 'hunter2", "a: b: hunter2", "\ta: hunter2", "a: }hunter2", "a: 1\n hunter2: 2", "- a\nb", "@hunter2",
            "---\na: 1\n---\nhunter2: 2",
        ])
    func broken(text: String) throws {
        let fault = try #require(self.fault(text))
        #expect(fault.place.line >= 1 && !fault.message.contains("hunter2"), "\(fault)")
    }

    @Test("the same key twice is refused, and named", arguments: ["a: 1\na: 2", "{x: {b: 1, b: 2}}", "a: 1\n'a': 2"])
    func duplicates(text: String) { #expect(fault(text)?.message.hasPrefix("the same key twice") == true) }

    @Test("a key must be text")
    func keys() { #expect(fault("? [a]\n: 1")?.message == "a key must be text") }

    @Test("no bytes whatever stop the reader (R-22, R-13)")
    func wildBytes() throws {
        var generator = SeededGenerator(seed: 22)
        let good = Array("a: {b: [c, 'd', \"e\"], f: g} # h\nlist:\n  - x: 1\n    y: ~\n  - *z\n".utf8)
        var refused = 0
        for _ in 0..<3_000 {
            var bytes = good
            for _ in 0..<Int.random(in: 1...6, using: &generator) {
                let index = Int.random(in: 0..<bytes.count, using: &generator)
                switch Int.random(in: 0...2, using: &generator) {
                case 0: bytes[index] = UInt8.random(in: 0...255, using: &generator)
                case 1: bytes.insert("[]{}:,-?&*!|>'\"%@`#\n ".utf8.randomElement(using: &generator) ?? 0, at: index)
                default: bytes.remove(at: index)
                }
            }
            do { _ = try YAMLReader.read(bytes, path: "f") } catch { refused += 1 }
        }
        #expect(refused > 2_000)
    }
}
