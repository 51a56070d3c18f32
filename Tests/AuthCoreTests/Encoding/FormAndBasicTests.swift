import AuthCore
import Testing

@Suite("RFC 6749 appendix B: form encoding of one name or value")
struct FormEncodingTests {
    @Test("plus is a space, escapes are bytes, the result is UTF-8")
    func decoded() {
        let rows: [(String, String?)] = [
            ("", ""), ("abc", "abc"), ("a+b", "a b"), ("a%20b", "a b"), ("a%2Bb", "a+b"), ("%C3%A9", "é"), ("%c3%a9", "é"), ("%25", "%"),
            ("a=b&c", "a=b&c"),
            ("+%25%26%2B%C2%A3%E2%82%AC", " %&+£€"), ("%", nil), ("%2", nil), ("%zz", nil), ("%2 ", nil),
            ("%00", nil), ("a\u{0}", nil), ("é", nil), ("%FF", nil), ("%C0%80", nil), ("%ED%A0%80", nil), ("%%41", nil), ("%u0041", nil),
            ("%0A", "\n"),
        ]
        for (text, expected) in rows {
            #expect(FormEncoding.decode(Array(text.utf8)) == expected, "\(text)")
        }
    }
}

@Suite("RFC 6749 §2.3.1, RFC 7617: client credentials in HTTP Basic (TK-06)")
struct BasicCredentialsTests {
    private func header(_ credentials: String) -> [UInt8] { Array("Basic \(Base64.encode(Array(credentials.utf8)))".utf8) }

    @Test("the example of RFC 6749 §2.3.1")
    func example() throws {
        let credentials = try #require(BasicCredentials(header: Array("Basic czZCaGRSa3F0MzpnWDFmQmF0M2JW".utf8)[...]))
        #expect(credentials.clientID == "s6BhdRkqt3")
        #expect(credentials.secret.exposed == "gX1fBat3bV")
    }

    @Test("both halves are form-decoded, after the first colon is found")
    func halves() throws {
        let rows: [(String, String, String)] = [
            ("a:b", "a", "b"), ("a:", "a", ""), ("a:b:c", "a", "b:c"), ("a%3Ab:c%2Bd", "a:b", "c+d"), ("a+b:c+d", "a b", "c d"),
            ("%C3%A9:x", "é", "x"),
        ]
        for (text, name, secret) in rows {
            let credentials = try #require(BasicCredentials(header: header(text)[...]), "\(text)")
            #expect(credentials.clientID == Identifier(name))
            #expect(credentials.secret.exposed == secret)
        }
    }

    @Test("what is not well-formed Basic is nothing")
    func refused() {
        for text in ["no colon", ":secret", "a%:b", "a:%zz", "é:x", "a\u{0}:b", "%00:x"] {
            #expect(BasicCredentials(header: header(text)[...]) == nil, "\(text)")
        }
        for text in [
            "", "Basic", "Basic ", "Basic", "Bearer YTpi", "BasicYTpi", "Basic YTpi=", "Basic YTp", "Basic YTpi YTpi", "Basic\tYTpi",
            "Basic !!!!",
        ] {
            #expect(BasicCredentials(header: Array(text.utf8)[...]) == nil, "\(text)")
        }
        #expect(BasicCredentials(header: header(String(repeating: "a", count: 4_000) + ":b")[...]) == nil)
        #expect(BasicCredentials(header: Array("bAsIc  YTpi".utf8)[...])?.clientID == "a")
    }

    @Test("RFC 9110 §11.4: the scheme in either case, then one or more spaces, then something")
    func scheme() {
        #expect(AuthorizationScheme.credentials(of: Array("Bearer abc".utf8)[...], scheme: "bearer") == Array("abc".utf8))
        #expect(AuthorizationScheme.credentials(of: Array("BEARER   abc".utf8)[...], scheme: "bearer") == Array("abc".utf8))
        for text in ["Bearer", "Bearer ", "Bearerabc", " Bearer abc", "Bearer\u{A0}abc", "DPoP abc", "Beare\u{159} abc"] {
            #expect(AuthorizationScheme.credentials(of: Array(text.utf8)[...], scheme: "bearer") == nil, "\(text)")
        }
    }
}
