import AuthCore
import Testing
import TokenVerification

@Suite("RFC 9068 §2.2 and RFC 7519 §4.1: the claims of an access token")
struct ClaimTests {
    @Test("TK-25: every claim of the contract is read")
    func all() throws {
        var presented = try Presented()
        presented.claims["nbf"] = .integer(Presented.now - 5)
        presented.claims["roles"] = .array(["customer", "clerk"])
        let jkt = try TestKey.es256("device", seed: 21).verification.thumbprint
        let x5t = Base64URL.encode([UInt8](repeating: 5, count: 32))
        presented.claims["cnf"] = try json(#"{"jkt":"\#(jkt)","x5t#S256":"\#(x5t)"}"#)
        presented.claims["extra"] = try json(#"{"a":[1]}"#)
        presented.requirements.proof = try PresentedProof().sender(certificate: x5t)
        var none: TokenExplanation?
        let decision = try presented.verifier().decide(
            try presented.token(), for: presented.requirements, now: Instant(seconds: Presented.now), uptime: .zero, whenStale: .refuse,
            explaining: &none
        )
        let token = try #require(decision.accepted)
        #expect(token.issuer == Presented.issuer)
        #expect(token.subject == "alice")
        #expect(token.clientID == "web")
        #expect(token.audiences == ["orders"])
        #expect(token.expiresAt == Instant(seconds: Presented.now + 600))
        #expect(token.issuedAt == Instant(seconds: Presented.now - 10))
        #expect(token.notBefore == Instant(seconds: Presented.now - 5))
        #expect(token.id == "t1")
        #expect(token.scope == ScopeSet(["orders:read", "orders:write"]))
        #expect(token.sessionID == "s1")
        #expect(token.grantID == "g1")
        #expect(token.accountEpoch == 3)
        #expect(token.clientEpoch == 5)
        #expect(token.authenticatedAt == Instant(seconds: Presented.now - 100))
        #expect(token.acr == "1")
        #expect(token.amr == ["pwd"])
        #expect(token.roles == ["customer", "clerk"])
        #expect(token.confirmationJKT == jkt)
        #expect(token.confirmationX5T == x5t)
        #expect(token.isSenderConstrained)
        #expect(token.keyID == "k1")
        #expect(token.claims == presented.claims)
    }

    @Test("what RFC 9068 requires may not be missing, null, of another type, empty or too long (JW-11)")
    func required() throws {
        for name in ["iss", "sub", "client_id", "jti"] {
            for value in [nil, .null, .integer(1), .bool(true), .array(["x"]), "", .string(String(repeating: "x", count: 2_049))]
                as [JSONValue?]
            {
                try expect(name, value, "malformed")
            }
        }
        for name in ["exp", "iat"] {
            for value in [nil, .null, "1800000000", .bool(true), .array([.integer(1)])] as [JSONValue?] {
                try expect(name, value, "malformed")
            }
        }
        for name in ["sub", "client_id", "jti"] {
            try expect(name, .string(String(repeating: "x", count: 255)), "accept")
            try expect(name, .string(String(repeating: "x", count: 256)), "malformed")
        }
    }

    @Test("what is optional may be missing, but not null or of another type")
    func optional() throws {
        for name in ["nbf", "sid", "gid", "ver", "auth_time", "acr", "amr", "roles", "cnf"] {
            try expect(name, nil, "accept")
            try expect(name, .null, "malformed")
            try expect(name, .bool(true), "malformed")
        }
        for name in ["sid", "gid", "acr"] { try expect(name, "", "malformed") }
        try expect("roles", .array(["a", .integer(1)]), "malformed")
        try expect("roles", .array([""]), "malformed")
        try expect("roles", .array((0..<257).map { .string("r\($0)") }), "malformed")
        try expect("amr", .array((0..<33).map { .string("m\($0)") }), "malformed")
    }

    @Test("JW-12: a NumericDate is a whole or decimal number from 1970 to 9999, and nothing traps")
    func dates() throws {
        let rows: [(String, String)] = [
            ("1800000600", "accept"), ("1800000600.5", "accept"), ("1.8000006e9", "accept"), ("180000060000e-2", "accept"),
            ("253402300799", "accept"), ("0", "expired"), ("-0", "expired"), ("0.5", "expired"), ("-1", "malformed"), ("-0.5", "malformed"),
            ("253402300800", "malformed"), ("1800000600000", "malformed"), ("9223372036854775807", "malformed"),
            ("9223372036854775808", "malformed"), ("-9223372036854775809", "malformed"), ("1e300", "malformed"), ("1e400", "malformed"),
            ("-1e400", "malformed"), ("1e-400", "expired"), ("1e99999999999", "malformed"), ("18446744073709551616", "malformed"),
            ("253402300799.999", "malformed"),
        ]
        for (number, expected) in rows {
            var presented = try Presented()
            presented.claims["exp"] = try json(number)
            #expect(try presented.outcome() == expected, "\(number)")
        }
    }

    @Test(
        "JW-11: exp, nbf and iat each allow exactly the leeway",
        arguments: [
            RequirementRow("exp a second inside", "accept") { $0.claims["exp"] = .integer(Presented.now - 59) },
            RequirementRow("exp at its end", "expired") { $0.claims["exp"] = .integer(Presented.now - 60) },
            RequirementRow("exp just inside, decimal", "accept") { $0.claims["exp"] = try json("1799999940.001") },
            RequirementRow("nbf at its end", "accept") { $0.claims["nbf"] = .integer(Presented.now + 60) },
            RequirementRow("nbf a second further", "not_yet_valid") { $0.claims["nbf"] = .integer(Presented.now + 61) },
            RequirementRow("iat at its end", "accept") { $0.claims["iat"] = .integer(Presented.now + 60) },
            RequirementRow("iat a second further", "not_yet_valid") { $0.claims["iat"] = .integer(Presented.now + 61) },
            RequirementRow("no leeway, exp now", "expired") {
                $0.leeway = .zero
                $0.claims["exp"] = .integer(Presented.now)
            },
            RequirementRow("no leeway, exp in a second", "accept") {
                $0.leeway = .zero
                $0.claims["exp"] = .integer(Presented.now + 1)
            },
            RequirementRow("no leeway, nbf in a second", "not_yet_valid") {
                $0.leeway = .zero
                $0.claims["nbf"] = .integer(Presented.now + 1)
            },
            RequirementRow("a leeway above 60 s is 60 s", "expired") {
                $0.leeway = .seconds(3_600)
                $0.claims["exp"] = .integer(Presented.now - 61)
            },
            RequirementRow("a negative leeway is none", "accept") { $0.leeway = .seconds(-10) },
        ])
    func leeway(_ row: RequirementRow) throws {
        #expect(try row.outcome() == row.expected)
    }

    @Test(
        "exp − iat above the issuer's maximum is malformed",
        arguments: [
            RequirementRow("as long as it may be", "accept") { $0.lifetimeMax = .seconds(610) },
            RequirementRow("a second longer", "malformed") { $0.lifetimeMax = .seconds(609) },
            RequirementRow("no maximum", "accept") { $0.claims["exp"] = .integer(253_402_300_799) },
            RequirementRow("ten years", "malformed") {
                $0.lifetimeMax = .seconds(3_600)
                $0.claims["exp"] = .integer(Presented.now + 315_360_000)
            },
        ])
    func lifetime(_ row: RequirementRow) throws {
        #expect(try row.outcome() == row.expected)
    }

    @Test("ver is two whole numbers, or one for the account; anything else is malformed")
    func epochs() throws {
        let rows = [
            ("[3,5]", "accept"), ("3", "accept"), ("0", "accept"), ("[0,0]", "accept"), ("[3]", "malformed"), ("[]", "malformed"),
            ("[1,2,3]", "malformed"), ("[-1,2]", "malformed"), ("-1", "malformed"), ("1.5", "malformed"), ("[1,1.5]", "malformed"),
            (#""3""#, "malformed"), (#"["3","5"]"#, "malformed"), ("1e300", "malformed"), ("9223372036854775808", "malformed"),
        ]
        for (text, expected) in rows { try expect("ver", try json(text), expected) }
    }

    @Test("a claim is found by exactly its bytes")
    func names() throws {
        var presented = try Presented()
        for name in [
            "\u{0}iss", "\u{0}\u{0}exp", "iss\u{0}", "Iss", "ISS", "\u{131}ss", "exp ", " exp", "client-id", "authorization",
            "scope_of_some_other_thing",
        ] {
            presented.claims[name] = .integer(1)
        }
        #expect(try presented.outcome() == "accept")
        for (name, other) in [("iss", "Iss"), ("exp", "\u{0}exp"), ("jti", "jti ")] {
            var presented = try Presented()
            presented.claims[other] = presented.claims[name]
            presented.claims[name] = nil
            #expect(try presented.outcome() == "malformed", "\(other)")
        }
    }

    @Test("JW-09: iss is compared byte by byte, with nothing normalised")
    func issuer() throws {
        for issuer in [
            "https://issuer.example/", "https://Issuer.example", "HTTPS://issuer.example", "https://issuer.example:443",
            "http://issuer.example",
            "https://issuer.example\u{0}", "https://\u{131}ssuer.example",
        ] {
            try expect("iss", .string(issuer), "wrong_issuer")
        }
    }

    private func expect(_ name: String, _ value: JSONValue?, _ expected: String) throws {
        var presented = try Presented()
        presented.claims[name] = value
        #expect(try presented.outcome() == expected, "\(name): \(String(describing: value))")
    }
}
