import AuthCore
import Testing

@Suite("The JSON reader and writer")
struct JSONReaderTests {
    private func error(_ text: String, _ limits: JSONReader.Limits = .standard) -> JSONError? {
        do throws(JSONError) {
            _ = try JSONReader.read(text, limits: limits)
            return nil
        } catch {
            return error
        }
    }

    @Test("a name that is there twice is refused however it is written, and names differ byte by byte (JW-13)")
    func duplicates() throws {
        #expect(error(#"{"a":1,"a":1}"#) == .duplicateMember)
        #expect(error(#"{"a":1,"\u0061":1}"#) == .duplicateMember)
        #expect(error(#"{"x":{"a":1,"a":2}}"#) == .duplicateMember)
        #expect(error(#"[{"a":1},{"a":1}]"#) == nil)
        #expect(error("{\"K\":1,\"\u{212A}\":2}") == nil)
        #expect(error("{\"\u{E9}\":1,\"e\u{301}\":2}") == nil)
        for count in [15, 16, 17, 40] {
            let members = (0..<count).map { "\"m\($0)\":\($0)" }
            #expect(error("{\(members.joined(separator: ","))}") == nil)
            for repeated in [0, count / 2, count - 1] {
                #expect(error("{\(members.joined(separator: ",")),\"m\(repeated)\":0}") == .duplicateMember, "\(count) \(repeated)")
            }
        }
        let object = try #require(try JSONReader.read("{\"K\":1,\"\u{212A}\":2}").object)
        #expect(object["K"]?.int == 1)
        #expect(object["\u{212A}"]?.int == 2)
    }

    @Test("JW-14: size, depth and count are bounded at exactly their limits")
    func limits() {
        func nested(_ depth: Int) -> String { String(repeating: "[", count: depth) + String(repeating: "]", count: depth) }
        #expect(error(nested(32)) == nil)
        #expect(error(nested(33)) == .tooDeep)
        #expect(error(String(repeating: "{\"a\":", count: 32) + "1" + String(repeating: "}", count: 32)) == nil)
        #expect(error(String(repeating: "{\"a\":", count: 33) + "1" + String(repeating: "}", count: 33)) == .tooDeep)
        #expect(error(String(repeating: "[", count: 1_000_000)) == .tooDeep)
        func wide(_ count: Int) -> String { "[" + (0..<count).map { _ in "1" }.joined(separator: ",") + "]" }
        #expect(error(wide(999), .token) == nil)
        #expect(error(wide(1_000), .token) == .tooManyMembers)
        #expect(error("\"" + String(repeating: "x", count: 16_382) + "\"", .token) == nil)
        #expect(error("\"" + String(repeating: "x", count: 16_383) + "\"", .token) == .tooLarge)
    }

    @Test("numbers keep their text; the whole ones that fit are integers, and nothing traps")
    func numbers() throws {
        let rows: [(String, Int64?)] = [
            ("0", 0), ("-0", 0), ("1.0", 1), ("1e3", 1_000), ("1E+3", 1_000), ("10e-1", 1), ("1.5", nil), ("9223372036854775807", .max),
            ("-9223372036854775808", .min), ("9223372036854775808", nil), ("-9223372036854775809", nil), ("1e400", nil), ("-1e400", nil),
            ("1e-400", 0), ("9007199254740991.0", 9_007_199_254_740_991), ("9007199254740993.0", nil),
            ("1" + String(repeating: "0", count: 500), nil), ("1e999999999999999999999", nil),
        ]
        for (text, expected) in rows {
            let value = try JSONReader.read(text)
            #expect(value.int == expected, "\(text)")
            #expect(value.number?.text == text)
        }
        for text in ["+1", "01", "-", ".5", "1.", "1e", "1e+", "0x1", "1_0", "١", "NaN", "Infinity", "-Infinity", "1 e1", "--1", "-01"] {
            #expect(error(text) != nil, "\(text)")
        }
        #expect(try JSONReader.read("1e400").number?.double == nil)
        #expect(try JSONReader.read("1.25").number?.double == 1.25)
    }

    @Test("strings: escapes, surrogates, control bytes, UTF-8")
    func strings() throws {
        let rows: [(String, String?)] = [
            (#""\u0041\/\\\"\b\f\n\r\t""#, "A/\\\"\u{8}\u{C}\n\r\t"), (#""\ud83d\ude00""#, "😀"), (#""\uD83D\uDE00""#, "😀"),
            (#""\u0000""#, "\u{0}"),
            (#""\ud83d""#, nil), (#""\ude00""#, nil), (#""\ud83d\ud83d""#, nil), (#""\ud83dx""#, nil), (#""\ud83d\n""#, nil),
            (#""\u00""#, nil),
            (#""\u00g0""#, nil), (#""\x41""#, nil), (#""\""#, nil), ("\"\n\"", nil), ("\"\u{1F}\"", nil), ("\"\u{7F}\"", "\u{7F}"),
            ("\"", nil),
            ("'a'", nil), ("\"\u{2028}\"", "\u{2028}"), ("\"\r\n\"", nil),
        ]
        for (text, expected) in rows { #expect((try? JSONReader.read(text))?.string == expected, "\(text)") }
        for bytes in [[0xFF], [0xC0, 0x80], [0xED, 0xA0, 0x80], [0xF4, 0x90, 0x80, 0x80], [0xE2, 0x82], [0x80]] as [[UInt8]] {
            #expect(throws: JSONError.invalidUTF8) { try JSONReader.read([0x22] + bytes + [0x22]) }
            #expect(throws: JSONError.invalidUTF8) { try JSONReader.read([0x22, 0x5C, 0x6E] + bytes + [0x22]) }
        }
    }

    @Test("nothing may stand before or behind the value, a byte order mark neither")
    func surroundings() {
        #expect(error(" \t\r\n{} \t\r\n") == nil)
        for text in [
            "", " ", "{}{}", "{} x", "[]]", "\u{FEFF}{}", "\u{A0}{}", "{}\u{0}", "\u{C}1", "//x\n1", "[1,]", "[,1]", "{,}", "{\"a\":1,}",
            "{a:1}", "tru", "nul", "TRUE",
        ] {
            #expect(error(text) != nil, "\(text)")
        }
    }

    @Test("what is written is read again as the same value")
    func roundTrip() throws {
        for text in [
            #"{"a":[1,2.50,-3e7,true,false,null,"x\u0000\u001f\u007f\"\\/\n"],"":{},"é":"😀\u2028"}"#, "[]", "{}", "\"\"", "[[[]],{}]", "0",
        ] {
            let value = try JSONReader.read(text)
            #expect(try JSONReader.read(value.encoded) == value, "\(text)")
        }
        var writer = JSONWriter()
        writer.object {
            $0.member("valid", true)
            $0.member("none", nil as String?)
            $0.array("aud") { for text in ["a", "b"] { $0.value(text) } }
            $0.object("o") { $0.member("n", -5) }
            $0.member(named: "q\"", .null)
        }
        #expect(writer.text == #"{"valid":true,"aud":["a","b"],"o":{"n":-5},"q\"":null}"#)
    }

    @Test("mutations of a text are read or refused, never a trap; what is read is written and read again the same (IN-05)")
    func mutations() {
        let seed = Array(
            #"{"iss":"https:\/\/a.b","aud":["x","y\u0041\ud83d\ude00"],"exp":1800000000,"r":-1.5e-3,"o":{"t":true,"f":[null,false]}}"#.utf8)
        let alphabet = Array(#"{}[]",:0123456789.eE+-\untrflsak "#.utf8)
        var random = Seeded(1)
        var read = 0
        for _ in 0..<200_000 {
            let text = random.mutated(seed, alphabet: alphabet)
            guard let value = try? JSONReader.read(text) else { continue }
            read += 1
            if read % 20 == 0 { #expect((try? JSONReader.read(value.encoded)) == value) }
        }
        #expect(read > 1_000)
    }
}
