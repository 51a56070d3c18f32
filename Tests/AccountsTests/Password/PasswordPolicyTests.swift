import AuthCore
import Foundation
import Testing

@testable import Accounts

private func refusal(_ password: String, _ username: String? = "alice", _ email: String? = nil, lengthMin: Int = 15) -> PasswordRefusal? {
    PasswordPolicy(lengthMin: lengthMin, issuerHost: "login.example.com")
        .refusal(of: Password(Secret(password)), username: username, email: email)
}

@Suite("Password policy (NIST SP 800-63B-4 §3.1.1.2, PW-01…PW-05)")
struct PasswordPolicyTests {
    static let accepted = [
        "correct-horse-battery", "correct horse battery staple", "alllowercaseletters", "739104628501937",
        "               x correct", "пароль очень длинный", "堡壘裡的守衛今天不在家裡而去了湖", "🐴🔋📎🐴🔋📎🐴🔋📎🐴🔋📎🐴🔋📎🐙",
        "Ünïcödé is fine here", "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~", "horse8302749165", String(repeating: "a", count: 64),
        String(repeating: "correct horse ", count: 18) + "abcd", String(repeating: "🐴", count: 250) + "🐙🐙🐙🐙🐙🐙",
    ]

    @Test("anything printable of a good length is accepted: no rules of composition (PW-03, PW-04)", arguments: accepted)
    func accepts(password: String) {
        #expect(refusal(password) == nil)
    }

    @Test("lengths are counted in code points of the normal form, from 15 to 256 (PW-01, PW-02)")
    func length() {
        #expect(refusal("qpzmalvbkwjdhs") == .tooShort)
        #expect(refusal("qpzmalvbkwjdhsx") == nil)
        #expect(refusal("🐴🔋📎🐙🦊🐝🐌") == .tooShort)
        // Fifteen as typed, fourteen once composed.
        #expect(refusal("qpzmalvbkwjdha\u{308}") == .tooShort)
        #expect(refusal(String(repeating: "abcdefgzyxwv", count: 21) + "1x9q") == nil)
        #expect(refusal(String(repeating: "abcdefgzyxwv", count: 21) + "1x9qs") == .tooLong)
        #expect(refusal(String(repeating: "a", count: 1_000_000)) == .tooLong)
        #expect(refusal("") == .tooShort)
    }

    @Test("the least length can be set to 8…64 and no further")
    func configured() {
        #expect(refusal("qpzmalvb", lengthMin: 8) == nil)
        #expect(refusal("qpzmalv", lengthMin: 1) == .tooShort)
        #expect(refusal("qpzmalvb", lengthMin: 1) == nil)
        #expect(PasswordPolicy(lengthMin: 1_000).lengthMin == 64)
        #expect(PasswordPolicy().lengthMin == 15)
    }

    @Test("control characters are refused", arguments: ["\0", "\t", "\n", "\r\n", "\u{7F}", "\u{85}", "\u{1B}[2J"])
    func control(text: String) {
        #expect(refusal("correct-horse" + text + "-battery") == .invalid)
    }

    static let common = [
        "password", "PASSWORD", "Password", "123456789987654321", "1qaz2wsx3edc4rfv", "momsanaladventure", "MomsAnalAdventure",
        "password1234567", "Password12345678", "!!!password!!!!", "passwordpassword", "dragondragondragon", "aaaaaaaaaaaaaaa",
        "abababababababab", "abcabcabcabcabcab", "123456789012345", "9876543210987654", "abcdefghijklmnop", "zyxwvutsrqponmlk",
        "dragon123456789", "iloveyou1111111111", "gatehouse-gatehouse", "GateHouse1234567", "login.example.com1", "                ",
        "gatehouseABCDEFGHIJ",
    ]

    @Test("common passwords, runs, repetitions and the name of the service are refused (PW-05)", arguments: common)
    func isCommon(password: String) {
        #expect(refusal(password, lengthMin: 8) == .common)
    }

    @Test("every one of the 10 000 is found, and it is the whole list")
    func blocklist() throws {
        #expect(CommonPasswords.count == 10_000)
        let root = URL(fileURLWithPath: #filePath).pathComponents.dropLast(4).joined(separator: "/")
        let file = try String(contentsOfFile: root + "/Sources/C/CAssets/assets/common-passwords.txt", encoding: .utf8)
        let words = file.split(separator: "\n")
        #expect(words.count == 10_000)
        #expect(words.allSatisfy { CommonPasswords.contains($0.unicodeScalars.map(\.value)) })
        #expect(!CommonPasswords.contains([]))
        #expect(!CommonPasswords.contains("correct-horse-battery".unicodeScalars.map(\.value)))
        #expect(!CommonPasswords.contains([0x70, 0x1F642]))
    }

    static let named: [(password: String, username: String?, email: String?, refusal: PasswordRefusal?)] = [
        ("alice-likes-elephants", "alice", nil, .containsUsername), ("I-am-ALICE-the-great", "alice", nil, .containsUsername),
        ("margaret.hamilton1", "margaret.hamilton", nil, .containsUsername),
        ("with wonder-girl inside", nil, "wonder-girl@example.com", .containsUsername),
        ("this is x.y@example.com", nil, "x.y@example.com", .containsUsername),
        ("müller wohnt hier nicht", "MU\u{308}LLER", nil, .containsUsername),
        ("annual report of bears", "ann", nil, nil), ("annannannannann!ann", "ann", nil, .containsUsername),
        ("a-perfect-long-phrase", "a", nil, nil), ("correct-horse-battery", "", "", nil), ("correct-horse-battery", nil, nil, nil),
        ("correct-horse-battery", "bob", "@", nil), ("correct-horse-battery", "bob", "no-at-sign", nil),
    ]

    @Test("a password does not contain the user name, the e-mail address or its local part (PW-05)", arguments: named)
    func containsName(row: (password: String, username: String?, email: String?, refusal: PasswordRefusal?)) {
        #expect(refusal(row.password, row.username, row.email) == row.refusal)
    }

    @Test("the verdict says what sign-up says")
    func verdict() throws {
        func answer(_ line: String) throws -> String {
            let object = try #require(try JSONReader.read(line).object)
            return String(decoding: JSONValue.object(VerdictPassword.answer(object)).encoded, as: UTF8.self)
        }
        #expect(
            try answer(#"{"id": 1, "password": "correct-horse-battery", "username": "alice", "email": null}"#)
                == #"{"id":1,"verdict":"accept","reason":null}"#)
        #expect(try answer(#"{"id":"a","password":"short"}"#) == #"{"id":"a","verdict":"reject","reason":"password_too_short"}"#)
        #expect(
            try answer(#"{"id":"b","password":"alice-likes-elephants","username":"alice"}"#)
                == #"{"id":"b","verdict":"reject","reason":"password_contains_username"}"#)
        #expect(
            try answer(#"{"id":"c","password":"x\u0000xxxxxxxxxxxxxxxxx"}"#)
                == #"{"id":"c","verdict":"reject","reason":"password_invalid"}"#)
        #expect(try answer(#"{"id":"d","username":"alice"}"#) == #"{"id":"d","verdict":"error","reason":"invalid_case"}"#)
        #expect(
            try answer(#"{"password":"correct-horse-battery","username":7}"#) == #"{"id":null,"verdict":"error","reason":"invalid_case"}"#)
    }
}
