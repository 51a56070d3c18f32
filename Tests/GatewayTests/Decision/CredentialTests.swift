import AuthCore
import Gateway
import Store
import Testing
import TokenVerification

@Suite("RFC 6750 §2.1, §3 credential and challenge")
struct CredentialTests {
    static let bare = "Bearer realm=\"gatehouse\""
    static let invalid = "Bearer realm=\"gatehouse\", error=\"invalid_token\""

    @Test("a good token passes, the scheme in any case", arguments: ["Bearer ", "bearer ", "BEARER ", "bEaReR ", "Bearer   "])
    func good(scheme: String) throws {
        let gate = try Gate([.to("/orders")])
        let seen = gate.decide("/orders", [("authorization", scheme + (try gate.token()))])
        #expect(seen.route == "/orders")
        #expect(seen.plan?.subject == "alice")
    }

    /// Headers with `T` for a good token; status, reason, challenge.
    static let rows: [([(String, String)], Int, String, String)] = [
        ([], 401, "credential_missing", bare),
        ([("Authorization", "Basic YTpi")], 401, "credential_scheme", bare),
        // The other scheme: SenderTests.
        ([("Authorization", "DPoP")], 401, "malformed", invalid), ([("Authorization", "DPoPx T")], 401, "credential_scheme", bare),
        ([("Authorization", "T")], 401, "credential_scheme", bare),
        ([("Authorization", "")], 401, "credential_scheme", bare),
        ([("Authorization", "Bearer:T")], 401, "credential_scheme", bare),
        ([("Authorization", "Bearer\tT")], 401, "malformed", invalid),
        ([("Authorization", "Bearer")], 401, "malformed", invalid),
        ([("Authorization", "Bearer ")], 401, "malformed", invalid),
        ([("Authorization", "Bearer T T")], 401, "malformed", invalid),
        ([("Authorization", "Bearer T, Bearer T")], 401, "malformed", invalid),
        ([("Authorization", "Bearer \"T\"")], 401, "malformed", invalid),
        ([("Authorization", "Bearer é")], 401, "malformed", invalid),
        ([("Authorization", "Bearer =")], 401, "malformed", invalid),
        ([("Authorization", "Bearer a=b")], 401, "malformed", invalid),
        ([("Authorization", "Bearer T;")], 401, "malformed", invalid),
        ([("Authorization", "Bearer T\t")], 401, "malformed", invalid),
        ([("Authorization", "Bearer T\u{0}")], 401, "malformed", invalid),
        ([("Authorization", "Bearer T=")], 401, "malformed", invalid),
        ([("Authorization", "Bearer abc")], 401, "malformed", invalid),
        ([("Authorization", "Bearer T"), ("Authorization", "Bearer T")], 400, "credential_repeated", bare + ", error=\"invalid_request\""),
        (
            [("Authorization", "Bearer T"), ("AUTHORIZATION", "Basic YTpi")], 400, "credential_repeated",
            bare + ", error=\"invalid_request\""
        ),
        // Not this header: nothing else carries a credential.
        ([("X-Authorization", "Bearer T")], 401, "credential_missing", bare),
        ([("Proxy-Authorization", "Bearer T")], 401, "credential_missing", bare),
        ([("Cookie", "access_token=T")], 401, "credential_missing", bare),
        ([("X-Auth-Token", "T")], 401, "credential_missing", bare),
        ([("Authorization_", "Bearer T")], 401, "credential_missing", bare),
    ]

    @Test("what is no single bearer token is refused with its challenge, CVE-2025-64527", arguments: rows.indices)
    func refused(row: Int) throws {
        let (headers, status, reason, challenge) = Self.rows[row]
        let gate = try Gate([.to("/orders")])
        let token = try gate.token()
        let seen = gate.decide("/orders", headers.map { ($0, $1.replacing("T", with: token)) })
        #expect(seen.status == status, "\(headers)")
        #expect(seen.reason == reason, "\(headers)")
        #expect(seen.challenge == challenge, "\(headers)")
    }

    @Test("a token in the query is never a credential", arguments: ["access_token", "token", "Authorization"])
    func query(name: String) throws {
        let gate = try Gate([.to("/orders")])
        #expect(gate.decide("/orders?\(name)=\(try gate.token())").reason == "credential_missing")
    }

    @Test("every fault of a token reads the same to the client; the log tells them apart (JW-22)")
    func oneText() throws {
        let gate = try Gate([.needing("/orders") { $0.audiences = ["orders"] }])
        let other = try Gate([])
        let now = Gate.now.seconds
        let rows: [(String, String)] = [
            ("malformed", "a.b.c"),
            ("unknown_key", try gate.token(keyID: "k2")),
            ("bad_signature", try other.token()),
            ("wrong_issuer", try gate.token { $0["iss"] = .string("https://evil.test") }),
            ("expired", try gate.token { $0["exp"] = .number(JSONNumber(now - 61)) }),
            ("not_yet_valid", try gate.token { $0["nbf"] = .number(JSONNumber(now + 61)) }),
            ("wrong_audience", try gate.token { $0["aud"] = .string("billing") }),
            ("wrong_audience", try gate.token { $0["aud"] = nil }),
            ("proof_required", try gate.token { $0["cnf"] = .object(JSONObject([("jkt", .string(String(repeating: "A", count: 43)))])) }),
        ]
        let first = gate.decide("/orders", bearer: "a.b.c")
        for (reason, token) in rows {
            let seen = gate.decide("/orders", bearer: token)
            #expect(seen.reason == reason)
            #expect(seen.status == 401)
            #expect(seen.challenge == Self.invalid)
            #expect(seen.refusal?.response.body == first.refusal?.response.body, "\(reason)")
            #expect(try seen.body()?["error"] == .string("invalid_token"))
        }
    }

    @Test("a revoked token is refused although it was verified before (JW-23)")
    func revoked() throws {
        let gate = try Gate([.to("/orders")])
        let token = try gate.token()
        #expect(gate.decide("/orders", bearer: token).route == "/orders")
        gate.verifier.revocations.enforce([
            RevocationEntry(kind: .session, id: "s-1", until: Gate.now + .seconds(1_000))
        ])
        #expect(gate.decide("/orders", bearer: token).reason == "revoked")
    }

    @Test("a refusal has the contract's shape and is not cached")
    func shape() throws {
        let gate = try Gate([.to("/orders")])
        for seen in [gate.decide("/orders"), gate.decide("/x"), gate.decide("//"), gate.decide("/orders", bearer: "x")] {
            #expect(try seen.body()?.names == ["error", "error_description", "trace_id"])
            #expect(try seen.body()?["trace_id"] == .string(Gate.traceID))
            #expect(seen.refusal?.traceID == Gate.traceID)
            #expect(seen.refusal?.route == (seen.status == 401 ? "/orders" : nil))
            #expect(seen.header("content-type") == "application/json")
            #expect(seen.header("cache-control") == "no-store")
        }
        #expect(try gate.decide("/orders").body()?["error"] == .string("missing_token"))
        #expect(try gate.decide("/x").body()?["error"] == .string("no_route"))
        #expect(try gate.decide("//").body()?["error"] == .string("invalid_request"))
    }
}
