import AuthCore
import Gateway
import Store
import TestSupport
import Testing

/// SECURITY matrix "path variant × policy", searched instead of listed: paths put together from every way to write a slash, a
/// dot and a letter, at every policy. A new way to write is a spelling, a new policy a row.
@Suite("Matrix: path variant × policy, every reading of what is forwarded has the rule that was decided on (GW-02, GW-03)")
struct PathReadingTests {
    struct Policy: Sendable, CustomTestStringConvertible {
        let testDescription: String
        let routes: [RouteDefinition]
    }

    static let policies: [Policy] = [
        Policy(
            testDescription: "closed beside open",
            routes: [.open("/public"), .needing("/admin") { $0.roles = ["root"] }, .open("/public/sub")]),
        Policy(
            testDescription: "closed within open",
            routes: [.open("/"), .needing("/admin") { $0.roles = ["root"] }, .needing("/public/admin") { $0.roles = ["root"] }]),
        Policy(
            testDescription: "open within closed",
            routes: [.needing("/") { $0.roles = ["root"] }, .open("/public"), .open("/admin/public")]),
        Policy(
            testDescription: "more scope below",
            routes: [.to("/public"), .needing("/public/admin") { $0.scope = ScopeSet(["orders:write"]) }]),
        Policy(
            testDescription: "by method",
            routes: [
                .open("/admin", name: "read") { $0.methods = ["GET"] }, .needing("/admin/x") { $0.roles = ["root"] }, .open("/public"),
            ]),
    ]

    static let slashes = [
        "/", "/", "/", "//", "%2f", "%2F", "\\", "%5c", "%5C", "%252f", "%255c", "/./", "/%2e/", "/;/", "/;a=1/", "%c0%af", "%e0%80%af",
        "%u002f", "%3f/", "%23/", "/%09/", "/ /",
    ]
    static let dots = ["..", "..", "%2e%2e", ".%2e", "%2E.", "%252e%252e", "%c0%ae%c0%ae", "..;", "..;x", "..%00", ".%09.", "%u002e%u002e"]
    static let words: [[String]] = [
        [
            "admin", "admin", "%61dmin", "adm%69n", "%2561dmin", "admin%00", "admin;", "admin%3b", "admin%3fx", "admin%23x", "admin%253fx",
            "admi%6e",
        ],
        ["public", "public", "%70ublic", "public%00", "public;a", "public%3f"],
        ["x", "sub", "%78"], ["", ".", "%2e"],
    ]

    private func target(_ generator: inout SeededGenerator) -> String {
        // Mostly plain, so that what is odd comes alone as often as with other oddities.
        func one(_ spellings: [String]) -> String {
            let isPlain = Int.random(in: 0..<3, using: &generator) > 0
            return (isPlain ? spellings.first : spellings.randomElement(using: &generator)) ?? ""
        }
        var text = ""
        for _ in 0..<Int.random(in: 1...4, using: &generator) {
            text += one(Self.slashes)
            let isDots = Int.random(in: 0..<8, using: &generator) == 0
            let spellings = isDots ? Self.dots : Self.words.randomElement(using: &generator) ?? []
            text += one(spellings)
        }
        if Int.random(in: 0..<4, using: &generator) == 0 {
            text += ["/", "?q=/../admin", "?", "%2f", "/."].randomElement(using: &generator) ?? ""
        }
        return text
    }

    @Test("on paths put together at random", arguments: policies, 1...8 as ClosedRange<UInt64>)
    func readings(_ policy: Policy, seed: UInt64) throws {
        let gate = try Gate(policy.routes)
        let token = try gate.token()
        /// The path of the rule that a service behind the gateway would be protected by, if it read the path so.
        func rule(_ path: [UInt8]) -> String? {
            policy.routes.map(\.path).filter { LenientReadings.path(path, isBelow: $0) }.max { $0.utf8.count < $1.utf8.count }
        }
        var generator = SeededGenerator(seed: seed)
        var forwarded = 0
        for _ in 0..<1_500 {
            let target = target(&generator)
            guard let plan = gate.decide(target, bearer: token).plan else { continue }
            forwarded += 1
            #expect(plan.target == Array(target.utf8), "what is forwarded is what was decided on")
            let readings = LenientReadings.of(plan.target)
            let wanted = rule(readings[0])
            for reading in readings where rule(reading) != wanted {
                Issue.record("seed \(seed): \(target) went to \(wanted ?? "-") and reads as \(String(decoding: reading, as: UTF8.self))")
                break
            }
        }
        #expect(forwarded > 20, "the search must not only find refusals")
    }

    @Test("the readings know the ways that have led around a rule")
    func known() {
        let ways = [
            "/public/../admin", "/public//../admin", "//admin", "/public/..;/admin", "/admin;x", "/public%2f..%2fadmin", "/%61dmin",
            "/%2561dmin", "/admin%00.png", "/public%5c..%5cadmin", "/public\\..\\admin", "/public%c0%af..%c0%afadmin", "/admin%3fx",
            "/public/%u002e%u002e/admin", "/public%252f%252e%252e%252fadmin", "/admin%23/public", "/public/.%09./admin",
        ]
        for way in ways {
            let readings = LenientReadings.of(Array(way.utf8))
            #expect(readings.contains { LenientReadings.path($0, isBelow: "/admin") }, "\(way)")
        }
        #expect(LenientReadings.of(Array("/admins/x".utf8)) == [Array("/admins/x".utf8)])
    }
}
