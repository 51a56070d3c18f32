import AuthCore
import OAuthServer
import Testing

@Suite("gatehouse verdict redirect, form, basic")
struct OAuthVerdictTests {
    private func redirect(_ registered: [String], _ requested: String, _ type: String? = nil) -> JSONObject {
        var line = JSONObject([("id", .string("x")), ("requested", .string(requested))])
        line["registered"] = .array(registered.map { .string($0) })
        line["application_type"] = type.map { .string($0) }
        return VerdictRedirect.answer(line)
    }

    @Test(
        "a redirect URI is one of those registered, byte by byte (AZ-01, RFC 9700 §2.1)",
        arguments: [
            "https://app.example/cb", "https://app.example/cb?a=1", "com.example.app:/cb", "http://127.0.0.1:9000/cb",
            "http://localhost/cb",
        ])
    func same(_ uri: String) {
        let others = ["https://other.example/cb"]
        #expect(redirect(others + [uri], uri)["verdict"]?.string == "accept")
        #expect(redirect(others + [uri], uri, "native")["verdict"]?.string == "accept")
        #expect(redirect(others, uri)["reason"]?.string == "redirect_uri_unregistered")
    }

    @Test(
        "every other spelling is another URI",
        arguments: [
            "https://app.example/cb/", "https://app.example/cb?", "https://app.example/cb#", "https://app.example/cb#x",
            "https://app.example/CB", "https://APP.example/cb", "https://app.example:443/cb", "http://app.example/cb",
            "https://app.example/%63b", "https://app.example/x/../cb", "https://app.example//cb", "https://app.example/cb%2f",
            "https://app.example/cb?x=1", "https://app.example.evil/cb", "https://app.example@evil/cb", "https://evil/app.example/cb",
            "https://app.example/cb ", " https://app.example/cb", "https://app.example\\@evil/cb", "https://app.example/cb\u{0}", "",
            "https://sub.app.example/cb", "//app.example/cb", "https://app.example./cb", "https://app。example/cb", "javascript:alert(1)",
        ])
    func others(_ uri: String) {
        for type in ["web", "native"] {
            #expect(redirect(["https://app.example/cb"], uri, type)["verdict"]?.string == "reject", "\(type)")
        }
    }

    @Test("of a native application the port of a loopback address may vary, and nothing else (RFC 8252 §7.3, AZ-02)")
    func loopback() {
        let registered = ["http://127.0.0.1/cb", "http://[::1]:1/cb"]
        let good = ["http://127.0.0.1:51004/cb", "http://127.0.0.1:1/cb", "http://[::1]:65535/cb", "http://[::1]/cb"]
        let bad = [
            "http://127.0.0.1:51004/cb/", "http://127.0.0.1:51004/cb?x", "http://127.0.0.2:51004/cb", "http://localhost:51004/cb",
            "https://127.0.0.1:51004/cb", "http://127.0.0.1:0/cb", "http://127.0.0.1:65536/cb", "http://127.0.0.1:080/cb",
            "http://127.0.0.1:/cb", "http://127.1:51004/cb", "http://2130706433:51004/cb", "http://0x7f.0.0.1:51004/cb",
            "http://user@127.0.0.1:51004/cb", "http://127.0.0.1:51004@evil/cb", "http://[::ffff:127.0.0.1]:51004/cb",
            "http://127.0.0.1:51004", "http://127.0.0.1:51004/cb#f", "http://127.0.0.1.evil:51004/cb",
        ]
        for uri in good {
            #expect(redirect(registered, uri, "native")["verdict"]?.string == "accept", "\(uri)")
            #expect(redirect(registered, uri, "web")["verdict"]?.string == "reject", "\(uri)")
            #expect(redirect(registered, uri)["verdict"]?.string == "reject", "\(uri)")
        }
        for uri in bad { #expect(redirect(registered, uri, "native")["verdict"]?.string == "reject", "\(uri)") }
        #expect(redirect(["http://localhost/cb"], "http://localhost:9/cb", "native")["verdict"]?.string == "reject")
    }

    @Test(
        "what no client can register matches nothing, not even itself",
        arguments: [
            "https://*.example/cb", "https://app.example/*", "https://app.example/cb#f", "javascript:alert(1)", "data:text/html,x",
            "http://app.example/cb", "http://localhost.evil.test/cb", "http://127.0.0.1.evil.test/cb",
            "https://app.example/../cb", "https://user:p@app.example/cb", "myapp:/cb", "urn:ietf:wg:oauth:2.0:oob",
        ])
    func unregistrable(_ uri: String) {
        for type in ["web", "native"] {
            #expect(redirect([uri], uri, type)["reason"]?.string == "redirect_uri_unregistered", "\(type)")
        }
    }

    private func form(_ body: String) -> JSONObject {
        VerdictForm.answer(JSONObject([("id", .number(JSONNumber(1))), ("body_b64", .string(Base64.encode(Array(body.utf8))))]))
    }

    @Test("a good form comes back as its parameters (RFC 6749 appendix B)")
    func goodForms() {
        let rows: [(String, String)] = [
            ("", "{}"), ("a=b", #"{"a":"b"}"#), ("a=b+c%20d%2B", #"{"a":"b c d+"}"#), ("a=&b=1&c", #"{"b":"1"}"#),
            ("&a=1&&b=2&", #"{"a":"1","b":"2"}"#), ("a=b=c", #"{"a":"b=c"}"#), ("%61=1", #"{"a":"1"}"#), ("a=%C3%A9", #"{"a":"é"}"#),
            ("resource=x&resource=y&resource=z", #"{"resource":["x","y","z"]}"#), ("audience=x", #"{"audience":"x"}"#),
            ("A=1&a=2", #"{"A":"1","a":"2"}"#),
        ]
        for (body, parameters) in rows {
            let answer = form(body)
            #expect(answer["verdict"]?.string == "accept", "\(body)")
            #expect(answer["parameters"].map { String(decoding: $0.encoded, as: UTF8.self) } == parameters, "\(body)")
        }
    }

    @Test("a form that two readers could read in two ways is refused (TK-01)")
    func badForms() {
        let many = (0..<129).map { "p\($0)=1" }.joined(separator: "&")
        let rows: [(String, String)] = [
            ("a=1&a=2", "parameter_repeated"), ("a=1&%61=2", "parameter_repeated"), ("a=&a=2", "parameter_repeated"),
            ("a=1&a=1", "parameter_repeated"), ("a=%", "parameter_malformed"), ("a=%4", "parameter_malformed"),
            ("a=%zz", "parameter_malformed"), ("a=%00", "parameter_malformed"), ("a=%C3", "parameter_malformed"),
            ("a=%ED%A0%80", "parameter_malformed"), ("a=%C0%80", "parameter_malformed"), ("a=é", "parameter_malformed"),
            ("=1", "parameter_malformed"), (many, "parameter_malformed"),
            ("a=" + String(repeating: "x", count: 65_536), "parameter_malformed"),
            (String(repeating: "n", count: 129) + "=1", "parameter_malformed"),
        ]
        for (body, reason) in rows {
            #expect(form(body)["reason"]?.string == reason, "\(body.prefix(40))")
            #expect(form(body)["parameters"] == nil)
        }
    }

    private func basic(_ header: String) -> JSONObject { VerdictBasic.answer(JSONObject([("id", .null), ("header", .string(header))])) }

    @Test("the credentials of a client are form-encoded under Base64 (RFC 6749 §2.3.1)")
    func basics() {
        func header(_ text: String) -> String { "Basic " + Base64.encode(Array(text.utf8)) }
        let good: [(String, String, String)] = [
            (header("a:b"), "a", "b"), (header("a:"), "a", ""), (header("a:b:c"), "a", "b:c"), (header("a%3Ab:c+d"), "a:b", "c d"),
            ("basic " + Base64.encode(Array("a:b".utf8)), "a", "b"), ("BASIC   " + Base64.encode(Array("a:b".utf8)), "a", "b"),
            (header("%C3%A9:%2B"), "é", "+"),
        ]
        for (text, id, secret) in good {
            let answer = basic(text)
            #expect(answer["verdict"]?.string == "accept", "\(text)")
            #expect(answer["client_id"]?.string == id && answer["client_secret"]?.string == secret, "\(text)")
        }
        let bad = [
            "", "Basic", "Basic ", "Basic a", "Basic YTpi=", "Basic YTp i", "Basic YT-_", "Bearer YTpi", "BasicYTpi", header("a"),
            header(":b"),
            header("a:%"), header("a%zz:b"), header("a:\u{0}"), "Basic YTpi, Basic YTpi",
            header("a:" + String(repeating: "x", count: 4_096)),
        ]
        for text in bad {
            #expect(basic(text)["verdict"]?.string == "reject", "\(text)")
            #expect(basic(text)["reason"]?.string == "client_secret_missing", "\(text)")
        }
    }

    @Test("what is no case says so")
    func invalid() {
        let lines: [JSONObject] = [
            VerdictRedirect.answer(JSONObject()), VerdictRedirect.answer(JSONObject([("registered", .array([])), ("requested", .null)])),
            redirect([], "https://a.example/", "desktop"),
            VerdictRedirect.answer(JSONObject([("registered", .array([.number(JSONNumber(1))])), ("requested", .string("x"))])),
            VerdictForm.answer(JSONObject()), VerdictForm.answer(JSONObject([("body_b64", .string("%"))])),
            VerdictBasic.answer(JSONObject()),
            VerdictBasic.answer(JSONObject([("header", .array([]))])),
        ]
        for line in lines {
            #expect(line["verdict"]?.string == "error" && line["reason"]?.string == "invalid_case")
            #expect(line["id"] != nil)
        }
    }
}
