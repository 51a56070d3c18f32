import AuthCore
import Testing

@Suite("RFC 6749 §3.3: scopes (GW-23)")
struct ScopeTests {
    @Test("a list is names of printable ASCII but quote and backslash, one space between")
    func grammar() {
        for text in ["", "a", "a b", "openid profile", "orders:read", "!#[]~", String(repeating: "x", count: 255)] {
            #expect(ScopeSet(parsing: text) != nil, "\(text)")
        }
        for text in [
            " ", " a", "a ", "a  b", "a\tb", "a\nb", "a\"b", "a\\b", "é", "a\u{7F}", "a\u{0}", "a\u{A0}b",
            String(repeating: "x", count: 256),
        ] {
            #expect(ScopeSet(parsing: text) == nil, "\(text)")
        }
        #expect(ScopeSet(parsing: (0..<256).map { "s\($0)" }.joined(separator: " ")) != nil)
        #expect(ScopeSet(parsing: (0..<257).map { "s\($0)" }.joined(separator: " ")) == nil)
    }

    @Test("a set has each name once, in the order of mention, and compares without order, in bytes")
    func sets() throws {
        let scope = try #require(ScopeSet(parsing: "b a b c a"))
        #expect(scope.description == "b a c")
        #expect(scope == ScopeSet(["c", "b", "a"]))
        #expect(scope != ScopeSet(["c", "b", "A"]))
        #expect(scope.contains("a"))
        #expect(!scope.contains("A"))
        #expect(ScopeSet(["a"]).isSubset(of: scope))
        #expect(!ScopeSet(["a", "d"]).isSubset(of: scope))
        #expect(ScopeSet.none.isSubset(of: .none))
        #expect(scope.intersection(ScopeSet(["c", "x", "b"])).description == "b c")
        #expect(scope.union(ScopeSet(["x", "a"])).description == "b a c x")
        #expect(scope.subtracting(ScopeSet(["a"])).description == "b c")
        #expect(!ScopeSet(["K"]).contains("\u{212A}"))
    }
}

@Suite("Identifiers, secrets and times")
struct ValueTests {
    @Test("an identifier is its bytes: canonical equivalents are others (SECURITY.md, Swift traps)")
    func identifiers() {
        for (left, right) in [("K", "\u{212A}"), (";", "\u{37E}"), ("`", "\u{1FEF}"), ("\u{E9}", "e\u{301}")] {
            #expect(left == right, "the trap is there")
            #expect(Identifier(left) != Identifier(right))
            #expect(Set([Identifier(left), Identifier(right)]).count == 2)
            #expect(!left.isSameBytes(as: right))
        }
        #expect(Identifier("a") < Identifier("b"))
        #expect(Identifier("Z") < Identifier("a"))
    }

    @Test("a secret does not print itself and is compared whole")
    func secrets() {
        let secret = Secret("hunter2")
        #expect("\(secret)" == "‹secret›")
        #expect(String(reflecting: secret) == "‹secret›")
        #expect(String(describing: [secret]).contains("hunter2") == false)
        #expect(secret.isSame(as: Secret("hunter2")))
        #expect(!secret.isSame(as: Secret("hunter3")))
        #expect(!secret.isSame(as: Secret("hunter22")))
        #expect(!secret.isSame(as: Secret("")))
    }

    @Test("times saturate rather than trap")
    func instants() {
        #expect(Instant(seconds: .max).milliseconds == .max)
        #expect(Instant(seconds: .min).milliseconds == .min)
        #expect((Instant(milliseconds: .max) + .seconds(1)).milliseconds == .max)
        #expect((Instant(milliseconds: .min) - .seconds(1)).milliseconds == .min)
        #expect(Instant(milliseconds: -1).seconds == -1)
        #expect(Instant(milliseconds: 1_999).seconds == 1)
        #expect(Instant(milliseconds: .max) - Instant(milliseconds: .min) == .milliseconds(Int64.max))
        #expect(Uptime(nanoseconds: 5) - Uptime(nanoseconds: 9) == .zero)
        #expect(Uptime(nanoseconds: .max) - Uptime(nanoseconds: 0) == .nanoseconds(Int64.max))
    }
}
