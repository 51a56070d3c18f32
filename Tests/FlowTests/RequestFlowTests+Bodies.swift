import AuthCore
import OAuthServer
import Testing
import WebServer

@testable import gatehouse

// What a body may be, for every endpoint.
extension RequestFlowTests {
    @Test("every POST, PUT and PATCH reads JSON or a form, but for those that are named here")
    func bodyForms() async throws {
        let test = try await TestNode.start()
        // What they do needs a bearer token, which no page of another site can send.
        let bodyless = ["/admin/keys/rotate", "/admin/keys/{kid}/revoke", "/admin/clients/{id}/secrets", "/userinfo"]
        for (endpoint, _) in rows(test) {
            let isWriting = ["POST", "PUT", "PATCH"].contains(endpoint.method)
            #expect((endpoint.reads == .nothing) == (!isWriting || bodyless.contains(endpoint.path)), "\(endpoint.path)")
        }
        for form in [Endpoint.BodyForm.json, .form] { #expect(rows(test).filter { $0.endpoint.reads == form }.count >= 8) }
    }

    @Test(
        "CK-08: a body is application/json or it is not read: 415, before anything is looked at",
        arguments: [
            "text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "application/jsonp", "",
            "application/json, text/plain",
        ])
    func mediaTypes(_ type: String) async throws {
        let test = try await TestNode.start()
        for (endpoint, listener) in rows(test) where endpoint.reads == .json {
            let headers = type.isEmpty ? [] : [("content-type", type)]
            let answer = await test.send(
                endpoint.method, path(endpoint), Array(#"{"username":"alice"}"#.utf8), headers: headers, to: listener)
            #expect(answer.status == 415, "\(endpoint.method) \(endpoint.path)")
            #expect(answer.error == "unsupported_media_type")
        }
    }

    @Test(
        "CK-08, RFC 6749 §3.2: what takes a form takes nothing else: 400 as §5.2 has it, or a page, before anything is looked at",
        arguments: [
            ["application/json"], ["text/plain"], ["multipart/form-data; boundary=x"], [],
            ["application/x-www-form-urlencoded, text/plain"],
            ["application/x-www-form-urlencodedx"], ["application/x-www-form-urlencoded", "application/x-www-form-urlencoded"],
        ])
    func formMediaTypes(_ types: [String]) async throws {
        let test = try await TestNode.oauth()
        // Good everywhere: it is its type alone that is wrong.
        let body = "grant_type=client_credentials&client_id=billing&client_secret=fedcba9876543210fedcba9876543210&token=x"
        for (endpoint, listener) in rows(test) where endpoint.reads == .form {
            let answer = await test.send(
                endpoint.method, path(endpoint), Array(body.utf8), headers: types.map { ("content-type", $0) }, to: listener)
            #expect(answer.status == 400, "\(endpoint.path)")
            #expect(answer.error == (endpoint.isPage ? nil : "invalid_request"), "\(endpoint.path)")
            #expect(answer.header("content-type") == (endpoint.isPage ? "text/html; charset=utf-8" : "application/json"))
        }
    }

    @Test(
        "CK-08: a form's parameters and the case of its letters do not matter either",
        arguments: ["application/x-www-form-urlencoded;charset=UTF-8", "Application/X-WWW-Form-URLEncoded"])
    func goodFormMediaTypes(_ type: String) async throws {
        let test = try await TestNode.oauth()
        let body = "grant_type=client_credentials&client_id=billing&client_secret=fedcba9876543210fedcba9876543210&token=x"
        for target in ["/token", "/introspect", "/revoke"] {
            #expect(await test.send("POST", target, Array(body.utf8), headers: [("content-type", type)]).status == 200, "\(target)")
        }
    }

    @Test("TK-01, RFC 6749 §3.2: nothing of a form is read from the query")
    func formsOnly() async throws {
        let test = try await TestNode.oauth()
        let query = "grant_type=client_credentials&client_id=billing&client_secret=fedcba9876543210fedcba9876543210&token=x"
        for (endpoint, listener) in rows(test) where endpoint.reads == .form {
            let answer = await test.send(
                "POST", "\(path(endpoint))?\(query)", headers: [("content-type", "application/x-www-form-urlencoded")], to: listener)
            // Signing out asks again by GET, for the cookies; what stood in the query is not handed on.
            let isPassedOn = answer.status == 303 && answer.header("location")?.hasPrefix("/end-session/resume?logout=") == true
            #expect(isPassedOn || [400, 401].contains(answer.status), "\(endpoint.path): \(answer.status)")
            #expect(answer.header("location")?.contains("billing") != true, "\(endpoint.path)")
        }
    }

    @Test(
        "CK-08: the type's parameters and the case of its letters do not matter",
        arguments: ["application/json; charset=utf-8", "Application/JSON"])
    func goodMediaTypes(_ type: String) async throws {
        let test = try await TestNode.start()
        #expect(await test.send("POST", "/validate", Array(#"{"token":"x"}"#.utf8), headers: [("content-type", type)]).status == 200)
    }
}
