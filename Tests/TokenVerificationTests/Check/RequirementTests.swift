import AuthCore
import Testing
import TokenVerification

struct RequirementRow: Sendable, CustomTestStringConvertible {
    let testDescription: String
    let expected: String
    let change: @Sendable (inout Presented) throws -> Void

    init(_ name: String, _ expected: String, _ change: @escaping @Sendable (inout Presented) throws -> Void) {
        testDescription = name
        self.expected = expected
        self.change = change
    }

    func outcome() throws -> String {
        var presented = try Presented()
        try change(&presented)
        return try presented.outcome()
    }
}

@Suite("What a place requires of a good token")
struct RequirementTests {
    @Test(
        "RFC 9068 §4, JW-10, CVE-2020-26160, CVE-2024-5798: aud is compared whole, byte by byte, and must be there",
        arguments: [
            RequirementRow("the one", "accept") { _ in },
            RequirementRow("one of a list", "accept") { $0.claims["aud"] = try json(#"["x","orders"]"#) },
            RequirementRow("another", "wrong_audience") { $0.claims["aud"] = "billing" },
            RequirementRow("a longer one", "wrong_audience") { $0.claims["aud"] = "orders2" },
            RequirementRow("a prefix", "wrong_audience") { $0.claims["aud"] = "order" },
            RequirementRow("another case", "wrong_audience") { $0.claims["aud"] = "Orders" },
            RequirementRow("U+212A for K", "wrong_audience") {
                $0.claims["aud"] = "\u{212A}"
                $0.requirements.audience = .anyOf(["K"])
            },
            RequirementRow("none", "wrong_audience") { $0.claims["aud"] = nil },
            RequirementRow("an empty list", "wrong_audience") { $0.claims["aud"] = .array([]) },
            RequirementRow("none, any wanted", "wrong_audience") {
                $0.claims["aud"] = nil
                $0.requirements.audience = .any
            },
            RequirementRow("any wanted", "accept") { $0.requirements.audience = .any },
            RequirementRow("any of two", "accept") { $0.requirements.audience = .anyOf(["billing", "orders"]) },
            RequirementRow("any of none", "wrong_audience") { $0.requirements.audience = .anyOf([]) },
            RequirementRow("any but another", "accept") { $0.requirements.audience = .anyBut("gatehouse") },
            RequirementRow("any but this", "wrong_audience") { $0.requirements.audience = .anyBut("orders") },
            RequirementRow("any but one of its two", "wrong_audience") {
                $0.claims["aud"] = try json(#"["gatehouse","orders"]"#)
                $0.requirements.audience = .anyBut("gatehouse")
            },
            RequirementRow("a number", "malformed") { $0.claims["aud"] = .integer(1) },
            RequirementRow("a number in the list", "malformed") { $0.claims["aud"] = try json(#"["orders",1]"#) },
            RequirementRow("an object", "malformed") { $0.claims["aud"] = try json("{}") },
            RequirementRow("null", "malformed") { $0.claims["aud"] = .null },
            RequirementRow("empty text", "malformed") { $0.claims["aud"] = "" },
            RequirementRow("65 of them", "malformed") { $0.claims["aud"] = .array((0..<65).map { .string("a\($0)") }) },
        ])
    func audience(_ row: RequirementRow) throws {
        #expect(try row.outcome() == row.expected)
    }

    @Test(
        "GW-23, RFC 6749 §3.3: scopes are a set of whole names",
        arguments: [
            RequirementRow("one of two", "accept") { _ in },
            RequirementRow("both", "accept") { $0.requirements.scope = ScopeSet(["orders:write", "orders:read"]) },
            RequirementRow("none wanted", "accept") {
                $0.requirements.scope = .none
                $0.claims["scope"] = nil
            },
            RequirementRow("one missing", "insufficient_scope") { $0.requirements.scope = ScopeSet(["orders:read", "x"]) },
            RequirementRow("a prefix", "insufficient_scope") { $0.requirements.scope = ScopeSet(["orders:rea"]) },
            RequirementRow("another case", "insufficient_scope") { $0.requirements.scope = ScopeSet(["Orders:read"]) },
            RequirementRow("no scope claim", "insufficient_scope") { $0.claims["scope"] = nil },
            RequirementRow("empty", "insufficient_scope") { $0.claims["scope"] = "" },
            RequirementRow("a list", "malformed") { $0.claims["scope"] = try json(#"["orders:read"]"#) },
            RequirementRow("two spaces", "malformed") { $0.claims["scope"] = "orders:read  x" },
            RequirementRow("a quote", "malformed") { $0.claims["scope"] = "orders:read \"" },
        ])
    func scope(_ row: RequirementRow) throws {
        #expect(try row.outcome() == row.expected)
    }

    @Test(
        "RFC 9470 §3, GHSA-hp74-gm6m-2qm5: acr by value, max_age by auth_time",
        arguments: [
            RequirementRow("the acr", "accept") { $0.requirements.acrValues = ["1"] },
            RequirementRow("one of two", "accept") { $0.requirements.acrValues = ["2", "1"] },
            RequirementRow("another", "insufficient_authentication") { $0.requirements.acrValues = ["2"] },
            RequirementRow("none", "insufficient_authentication") {
                $0.claims["acr"] = nil
                $0.requirements.acrValues = ["1"]
            },
            RequirementRow("fresh but weak", "insufficient_authentication") {
                $0.claims["auth_time"] = .integer(Presented.now)
                $0.requirements.acrValues = ["2"]
                $0.requirements.maxAge = .seconds(1_000)
            },
            RequirementRow("as old as it may be", "accept") { $0.requirements.maxAge = .seconds(100) },
            RequirementRow("a second older", "insufficient_authentication") { $0.requirements.maxAge = .seconds(99) },
            RequirementRow("no auth_time", "insufficient_authentication") {
                $0.claims["auth_time"] = nil
                $0.requirements.maxAge = .seconds(100)
            },
            RequirementRow("auth_time within the leeway ahead", "accept") {
                $0.claims["auth_time"] = .integer(Presented.now + 60)
                $0.requirements.maxAge = .seconds(100)
            },
            RequirementRow("auth_time further ahead", "insufficient_authentication") {
                $0.claims["auth_time"] = .integer(Presented.now + 61)
                $0.requirements.maxAge = .seconds(100)
            },
            RequirementRow("acr a number", "malformed") { $0.claims["acr"] = .integer(1) },
            RequirementRow("amr a string", "malformed") { $0.claims["amr"] = "pwd" },
            RequirementRow("auth_time a string", "malformed") { $0.claims["auth_time"] = "1" },
        ])
    func authentication(_ row: RequirementRow) throws {
        #expect(try row.outcome() == row.expected)
    }
}
