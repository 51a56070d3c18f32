import AuthCore
import Testing

@testable import Accounts

private func username(_ text: String) -> Result<Identifier, IdentifierRefusal> {
    Result { () throws(IdentifierRefusal) in try Canonical.username(text) }
}

private func email(_ text: String) -> Result<Identifier, IdentifierRefusal> {
    Result { () throws(IdentifierRefusal) in try Canonical.email(text) }
}

@Suite("RFC 8265 §3.3 user names, one form for one account (IN-01)")
struct UsernameTests {
    static let same: [(canonical: String, spellings: [String])] = [
        ("alice", ["alice", "Alice", "ALICE", " alice", "alice ", "\u{A0}alice\u{3000}", "ＡＬＩＣＥ", "Ａlice", "aLiCe"]),
        ("m\u{FC}ller", ["müller", "MÜLLER", "mu\u{308}ller", "MU\u{308}LLER"]),
        ("juliet@example.com", ["juliet@example.com", "Juliet@Example.COM"]),
        ("\u{3C0}", ["π", "Π"]), ("\u{3C3}\u{3B1}\u{3C3}", ["ΣΑΣ", "σας", "σασ"]),
        ("kelvin", ["\u{212A}elvin", "Kelvin"]), ("\u{E5}sa", ["\u{212B}sa", "Åsa", "a\u{30A}sa"]),
        ("fu\u{DF}ball", ["fußball", "FUẞBALL"]), ("\u{30AB}\u{30BF}", ["カタ", "ｶﾀ"]), ("\u{30AC}", ["ガ", "ｶﾞ"]),
        ("\u{AC00}", ["가", "\u{1100}\u{1161}"]), ("привет", ["Привет", "ПРИВЕТ"]), ("шрифт2", ["ШРИФТ２"]),
        ("o'brien", ["O'Brien"]), ("a*)(uid=*", ["a*)(uid=*"]), ("\\2a;#\"<x>", ["\\2a;#\"<X>"]),
        ("太郎tanaka", ["太郎Tanaka"]), ("דוד5", ["דוד5"]), ("\u{0645}\u{062D}\u{0645}\u{062F}", ["محمد"]),
    ]

    @Test("spellings of one name share one canonical form (CVE-2025-6004, CVE-2026-47203)", arguments: same)
    func share(row: (canonical: String, spellings: [String])) {
        for spelling in row.spellings {
            #expect(
                username(spelling) == .success(Identifier(row.canonical)), "\(spelling.unicodeScalars.map { String($0.value, radix: 16) })")
        }
    }

    @Test("the canonical form is its own canonical form")
    func idempotent() {
        for row in UsernameTests.same { #expect(username(row.canonical) == .success(Identifier(row.canonical))) }
    }

    static let refused: [(text: String, refusal: IdentifierRefusal)] = [
        ("", .empty), (" ", .empty), ("\u{3000}\u{A0}", .empty), (String(repeating: "a", count: 256), .tooLong),
        // Three bytes each, and the widest forms are wider still.
        (String(repeating: "ａ", count: 86), .tooLong), ("foo bar", .characterForbidden), ("foo\u{A0}bar", .characterForbidden),
        ("alice\n", .characterForbidden), ("\talice", .characterForbidden), ("ali\0ce", .characterForbidden),
        ("alice\r\nX-Auth-Subject: bob", .characterForbidden), ("ali\u{200B}ce", .characterForbidden),
        ("alice\u{200D}", .characterForbidden),
        ("\u{FEFF}alice", .characterForbidden), ("ali\u{AD}ce", .characterForbidden), ("ali\u{2060}ce", .characterForbidden),
        ("\u{202E}ecila", .characterForbidden), ("ali\u{2066}ce", .characterForbidden), ("ali\u{61C}ce", .characterForbidden),
        ("ali\u{E0041}ce", .characterForbidden), ("ali\u{FE0F}ce", .characterForbidden), ("ali\u{34F}ce", .characterForbidden),
        ("henry\u{2163}", .characterForbidden), ("\u{265A}", .characterForbidden), ("\u{221E}", .characterForbidden),
        ("\u{FB01}ona", .characterForbidden), ("\u{1D41A}lice", .characterForbidden), ("\u{24D0}lice", .characterForbidden),
        ("\u{17F}am", .characterForbidden), ("ali\u{E000}ce", .characterForbidden), ("ali\u{FFFF}ce", .characterForbidden),
        ("ali\u{378}ce", .characterForbidden), ("\u{301}alice", .characterForbidden), ("\u{115F}", .characterForbidden),
        ("\u{3164}", .characterForbidden), ("\u{FFA0}", .characterForbidden), ("alice😀", .characterForbidden),
        ("a\u{37E}b", .characterForbidden), ("\u{2000}a\u{2028}", .characterForbidden),
        ("\u{430}lice", .confusable), ("\u{430}\u{440}\u{440}\u{4CF}\u{435}", .confusable), ("p\u{430}ypal", .confusable),
        ("\u{3BF}\u{3C5}", .confusable), ("\u{3B1}lpha", .confusable), ("alice\u{5D0}", .confusable), ("1\u{661}", .confusable),
        ("\u{966}\u{661}", .confusable), ("5דוד", .confusable), ("דוד-", .confusable), ("\u{13A0}\u{430}", .confusable),
        ("\u{0585}ne", .confusable), ("\u{4E2D}\u{438}", .confusable),
    ]

    @Test("what is invisible, ambiguous or not a letter is refused and not repaired (IN-02)", arguments: refused)
    func refuses(row: (text: String, refusal: IdentifierRefusal)) {
        #expect(username(row.text) == .failure(row.refusal), "\(row.text.unicodeScalars.map { String($0.value, radix: 16) })")
    }

    @Test("for every code point: it is refused, or its form is stable and shared by its capital")
    func everyScalar() {
        var accepted = 0
        var faults: [UInt32] = []
        for value in (0x21...0x3FFFF).lazy where value % 3 == 0 || value < 0x3000 {
            guard let scalar = Unicode.Scalar(UInt32(value)), case .success(let canonical) = username(String(scalar)) else { continue }
            accepted += 1
            if username(canonical.text) != .success(canonical) { faults.append(scalar.value) }
            let upper = scalar.properties.uppercaseMapping
            if upper.unicodeScalars.count == 1, case .success(let other) = username(upper), other != canonical {
                faults.append(scalar.value)
            }
        }
        #expect(accepted > 10_000)
        // U+0131, the dotless i, and U+1C80…: letters whose capital is another letter's.
        #expect(faults.allSatisfy { $0 == 0x131 || (0x1C80...0x1C88) ~= $0 }, "\(faults.map { String($0, radix: 16) })")
    }

    @Test("a name with an @ stands only beside the same address (CVE-2025-24806)")
    func addressAsName() throws {
        let name = try Canonical.username("Bob@Example.com")
        #expect(Canonical.isUsername(name, allowedWith: try Canonical.email("bob@example.com")))
        #expect(!Canonical.isUsername(name, allowedWith: try Canonical.email("mallory@example.com")))
        #expect(!Canonical.isUsername(name, allowedWith: nil))
        #expect(Canonical.isUsername("bob", allowedWith: nil))
    }

    @Test("what somebody types to sign in is a name, or an address, or neither")
    func signInName() {
        #expect(Canonical.signInName(" Alice ")?.username == "alice")
        #expect(Canonical.signInName("Alice")?.email == nil)
        #expect(Canonical.signInName("Bob@Example.com")?.username == "bob@example.com")
        #expect(Canonical.signInName("Bob@Example.com")?.email == "bob@example.com")
        #expect(Canonical.signInName("bob@bücher.example")?.email == "bob@xn--bcher-kva.example")
        #expect(Canonical.signInName("a b") == nil)
    }
}

@Suite("RFC 5321 §4.1.2 e-mail addresses (IN-03)")
struct EmailTests {
    static let accepted: [(text: String, canonical: String)] = [
        ("alice@example.com", "alice@example.com"), ("Alice.B+tag@Example.COM", "alice.b+tag@example.com"),
        (" alice@example.com ", "alice@example.com"), ("o'brien@example.co.uk", "o'brien@example.co.uk"),
        ("a@xn--bcher-kva.example", "a@xn--bcher-kva.example"), ("a@XN--BCHER-KVA.example", "a@xn--bcher-kva.example"),
        ("a@bücher.example", "a@xn--bcher-kva.example"), ("a@BU\u{308}CHER.example", "a@xn--bcher-kva.example"),
        ("a@例え.テスト", "a@xn--r8jz45g.xn--zckzah"), ("a@ｅｘａｍｐｌｅ.com", "a@example.com"), ("a@faß.de", "a@xn--fa-hia.de"),
        ("a@правда.рф", "a@xn--80aafi6cg.xn--p1ai"), ("!#$%&'*+-/=?^_`{|}~@example.com", "!#$%&'*+-/=?^_`{|}~@example.com"),
        ("a@1.2.3.4x", "a@1.2.3.4x"),
        (String(repeating: "a", count: 64) + "@example.com", String(repeating: "a", count: 64) + "@example.com"),
    ]

    @Test("an address has one canonical form, with the domain in A-labels", arguments: accepted)
    func accepts(row: (text: String, canonical: String)) {
        #expect(email(row.text) == .success(Identifier(row.canonical)))
        #expect(email(row.canonical) == .success(Identifier(row.canonical)))
    }

    static let refused: [(text: String, refusal: IdentifierRefusal)] = [
        ("", .empty), ("alice", .emailMalformed), ("@", .emailDomain), ("@example.com", .emailMalformed), ("alice@", .emailDomain),
        ("a@evil.example@example.com", .emailMalformed), ("\"a@b\"@example.com", .emailMalformed), ("a@b@", .emailMalformed),
        ("\"a b\"@example.com", .characterForbidden), ("\"ab\"@example.com", .emailMalformed), ("a b@example.com", .characterForbidden),
        ("a@example.com\r\nBcc: b@example.com", .emailMalformed), ("a@example.com\r\nBcc:x", .characterForbidden),
        ("a\0@example.com", .characterForbidden), ("a\u{7F}@example.com", .characterForbidden), (".a@example.com", .emailMalformed),
        ("a.@example.com", .emailMalformed), ("a..b@example.com", .emailMalformed), ("a(x)@example.com", .emailMalformed),
        ("ü@example.com", .emailMalformed), ("\u{430}lice@example.com", .emailMalformed), ("a\u{202E}@example.com", .emailMalformed),
        (String(repeating: "a", count: 65) + "@example.com", .emailMalformed), ("a@localhost", .emailDomain),
        ("a@example..com", .emailDomain),
        ("a@.example.com", .emailDomain), ("a@example.com.", .emailDomain), ("a@-example.com", .emailDomain),
        ("a@example-.com", .emailDomain),
        ("a@exa_mple.com", .emailDomain), ("a@[127.0.0.1]", .emailDomain), ("a@127.0.0.1", .emailDomain),
        ("a@example.com:25", .emailDomain),
        ("a@example.com/x", .emailDomain), ("a@example\u{3002}com", .emailDomain), ("a@ex\u{200B}ample.com", .characterForbidden),
        ("a@ex\u{430}mple.com", .confusable), ("a@\u{430}\u{440}\u{440}\u{4CF}\u{435}.com", .confusable),
        ("a@\u{2100}.example", .characterForbidden), ("a@" + String(repeating: "b", count: 64) + ".com", .emailDomain),
        ("a@" + String(repeating: "b.", count: 126) + "c", .tooLong), (String(repeating: "a", count: 300), .tooLong),
    ]

    @Test("everything else is refused (CVE-2026-40574)", arguments: refused)
    func refuses(row: (text: String, refusal: IdentifierRefusal)) {
        #expect(email(row.text) == .failure(row.refusal))
    }

    @Test("Punycode of RFC 3492 §7.1")
    func punycode() {
        let rows = [
            ("ليهمابتكلموشعربي؟", "egbpdaj6bu4bxfgehfvwxn"), ("他们为什么不说中文", "ihqwcrb4cv8a8dqg056pqjye"),
            ("почемужеонинеговорятпорусски", "b1abfaaepdrnnbgefbadotcwatmq2g4l"), ("3年b組金八先生", "3b-ww4c5e180e575a65lsy2b"),
            ("maji\u{3067}koi\u{3059}\u{308B}5\u{79D2}\u{524D}", "majikoi5-783gue6qz075azm5e"),
            ("\u{305D}\u{306E}\u{30B9}\u{30D4}\u{30FC}\u{30C9}\u{3067}", "d9juau41awczczp"),
            ("b\u{FC}cher", "bcher-kva"),
        ]
        for (label, expected) in rows {
            #expect(Punycode.encode(label).map { String(decoding: $0, as: UTF8.self) } == expected, "\(label)")
        }
        #expect(Punycode.encode(String(repeating: "ü", count: 256)) == nil)
        #expect(Punycode.encode(String(repeating: "\u{10FFFF}ü", count: 100)) != nil)
    }

    @Test("the verdict gives the canonical form, or the reason")
    func verdict() throws {
        func answer(_ line: String) throws -> String {
            let object = try #require(try JSONReader.read(line).object)
            return String(decoding: JSONValue.object(VerdictIdentifier.answer(object)).encoded, as: UTF8.self)
        }
        #expect(
            try answer(#"{"id":1,"kind":"username","value":"ＡＬＩＣＥ"}"#)
                == #"{"id":1,"verdict":"accept","reason":null,"canonical":"alice"}"#)
        #expect(
            try answer(#"{"id":2,"kind":"email","value":"A@B@c.de"}"#)
                == #"{"id":2,"verdict":"reject","reason":"email_malformed","canonical":null}"#)
        #expect(try answer(#"{"id":3,"kind":"phone","value":"1"}"#) == #"{"id":3,"verdict":"error","reason":"invalid_case"}"#)
        #expect(try answer(#"{"id":4,"kind":"email"}"#) == #"{"id":4,"verdict":"error","reason":"invalid_case"}"#)
    }
}
