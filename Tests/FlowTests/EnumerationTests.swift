import AuthCore
import Foundation
import Store
import Testing

@testable import gatehouse

/// Whom somebody may try to sign in as, with a password that is not theirs.
enum Stranger: String, CaseIterable, Sendable {
    /// There is an account, with a password of our own making.
    case known
    case unknown, disabled, withoutPassword, deleted
    /// There is an account, whose hash was imported or was made with other parameters.
    case bcrypt, pbkdf2, scrypt, argon2Before
    /// No account could have such a name.
    case impossibleName, longName, emailOfKnown, emailOfUnknown, nameInCapitals

    private static let imported: [Stranger: String] = [
        .bcrypt: "$2b$04$.BJTXqBhWKQVzrscXoxog.NEuEqOP9bqMvA3hNc4zK3SPJm2PdS3.",
        .pbkdf2: "$pbkdf2-sha256$1000$DaH03juH8P6/N8bYWwuBUA$eG3kH3eBAISi1e2N1W8hFJLPqCzGTgA8BOTGHiWi9a8",
        .scrypt: "$scrypt$ln=4,r=8,p=1$KMW4N8bY29v7fy/l/H+PUQ$Mg2hFvRKYjFLjflRdgZM2pbEMMUYH1MZQY0EHwGFhPs",
        .argon2Before: "$argon2id$v=19$m=1024,t=2,p=1$X68r6UZUNxj6D7RTh2D9uQ$nxzUAJz6EkBk7tIIDMIDXliY731IDVeSX/dXB0oYEA8",
    ]

    /// Makes the account, where there is one.
    func prepare(_ test: TestNode, _ number: Int = 0) async throws {
        let name = "\(rawValue.lowercased())\(number)"
        var new = NewAccount(username: name, canonicalUsername: Identifier(name))
        switch self {
        case .unknown, .impossibleName, .longName, .emailOfUnknown: return
        case .bcrypt, .pbkdf2, .scrypt, .argon2Before: new.passwordHash = Secret(try #require(Self.imported[self]))
        case .withoutPassword: break
        case .known, .disabled, .deleted, .emailOfKnown, .nameInCapitals:
            // One hash for all: what is measured is a wrong password.
            new.passwordHash = try await test.account("alice")?.passwordHash
        }
        if self == .emailOfKnown { (new.email, new.canonicalEmail) = ("\(name)@example.com", Identifier("\(name)@example.com")) }
        let event = AuditEvent(.accountCreated, at: test.clock.now, source: "test", traceID: "t")
        guard case .created(let account) = try await test.store.createAccount(new, event: event) else { return }
        if self == .disabled { _ = try await test.store.change(account.id, .disabled(by: .operatorsHand), event: event) }
        if self == .deleted { _ = try await test.store.change(account.id, .deleted, event: event) }
    }

    func name(_ number: Int = 0) -> String {
        let name = "\(rawValue.lowercased())\(number)"
        return switch self {
        case .impossibleName: "a\u{202E}b c\(number)"
        case .longName: String(repeating: "x", count: 1_000) + "\(number)"
        case .emailOfKnown, .emailOfUnknown: "\(name)@example.com"
        case .nameInCapitals: name.uppercased()
        default: name
        }
    }
}

/// Nobody learns from `/login` whether an account exists (BF-05, PW-11, CVE-2026-23511, CVE-2025-54999).
@Suite("Known and unknown users look the same")
struct EnumerationTests {
    /// An answer as the client gets it, without its trace id.
    private func shown(_ answer: Answer) -> String {
        let body = String(decoding: answer.body, as: UTF8.self).replacing(answer.text("trace_id"), with: "")
        return "\(answer.status)\n" + answer.headers.map { "\($0.name): \($0.value)\n" }.joined() + body
    }

    private func attempt(_ test: TestNode, _ name: String, _ password: String = "wrong-wrong-wrong", from peer: PeerAddress = .loopback)
        async
        -> Answer
    {
        let body = JSONValue.object(JSONObject([("username", .string(name)), ("password", .string(password))])).encoded
        return await test.send("POST", "/login", body, from: peer)
    }

    @Test(
        "BF-05: status, headers and body are the same to the byte, but for the trace id",
        arguments: [
            "wrong-wrong-wrong", "x", String(repeating: "long", count: 1_000), "pässwörd-with-ﬁ-ligature",
            "correct-horse-battery\u{202E}",
        ])
    func sameBytes(_ password: String) async throws {
        let test = try await TestNode.start()
        var seen = Set<String>()
        for stranger in Stranger.allCases {
            try await stranger.prepare(test)
            let answer = await attempt(test, stranger.name(), password, from: try #require(PeerAddress("192.0.2.\(seen.count + 1)")))
            #expect(answer.status == 401)
            #expect(answer.text("trace_id").count == 32)
            seen.insert(shown(answer))
        }
        #expect(seen.count == 1, "\(seen)")
    }

    @Test("BF-05, BF-13: so are those of the throttle, from the first that is held back on")
    func sameThrottle() async throws {
        let test = try await TestNode.start()
        var seen = Set<[String]>()
        for (index, stranger) in Stranger.allCases.enumerated() {
            try await stranger.prepare(test)
            let peer = try #require(PeerAddress("192.0.2.\(index)"))
            var answers: [String] = []
            for _ in 0..<8 { answers.append(shown(await attempt(test, stranger.name(), from: peer))) }
            #expect(answers.last?.hasPrefix("429") == true)
            seen.insert(answers)
        }
        #expect(seen.count == 1)
    }

    @Test("one counter for an account, by whatever name it is guessed at (BF-02, CVE-2025-24806, CVE-2025-6004, CVE-2026-47203)")
    func oneCounter() async throws {
        let test = try await TestNode.start()
        let names = ["alice", "Alice", "ALICE@example.com", " alice ", "ａｌｉｃｅ", "alice@EXAMPLE.com"]
        var statuses: [Int] = []
        for (index, name) in names.enumerated() {
            statuses.append(await attempt(test, name, from: try #require(PeerAddress("192.0.2.\(index)"))).status)
        }
        #expect(statuses == [401, 401, 401, 401, 401, 429])
    }

    /// Microseconds that the answer took.
    private func duration(_ test: TestNode, _ name: String, _ peer: PeerAddress) async -> Double {
        let start = Environment.live.uptime()
        _ = await attempt(test, name, from: peer)
        return (Environment.live.uptime() - start) / .microseconds(1)
    }

    /// A quarter of the values are smaller: what else the machine does makes the others larger.
    private func quartile(_ values: [Double]) -> Double { values.sorted()[values.count / 4] }

    /// How often a value of the first list is the larger one; 0.5 means that nobody can tell (the statistic of Mann and Whitney).
    private func superiority(_ first: [Double], _ second: [Double]) -> Double {
        let wins = first.reduce(0.0) { sum, a in sum + second.reduce(0.0) { $0 + (a > $1 ? 1 : a == $1 ? 0.5 : 0) } }
        return wins / Double(first.count * second.count)
    }

    @Test("PW-11, BF-05: unknown, disabled and known users cost the same time, by distribution", .timeLimit(.minutes(5)))
    func sameTime() async throws {
        // One at a time, so that nothing but the machine's own noise is in it.
        let test = try await TestNode.start()
        let strangers: [Stranger] = [
            .known, .unknown, .disabled, .withoutPassword, .emailOfKnown, .emailOfUnknown, .impossibleName,
        ]
        let rounds = 50
        var times: [Stranger: [Double]] = [:]
        for round in 0..<rounds {
            for stranger in strangers { try await stranger.prepare(test, round) }
            for index in strangers.indices {
                // Interleaved, in an order that turns, and each name and source for the first time.
                let peer = try #require(PeerAddress("198.51.\(index).\(round)"))
                let stranger = strangers[(index + round) % strangers.count]
                times[stranger, default: []].append(await duration(test, stranger.name(round), peer))
            }
        }
        let known = try #require(times[.known])
        for stranger in strangers.dropFirst() {
            let other = try #require(times[stranger])
            let (ratio, rank) = (quartile(other) / quartile(known), superiority(other, known))
            // Without the hash the ratio is below a tenth, and the rank 0. The bounds are five deviations of the rank wide.
            #expect((0.75...1.33).contains(ratio), "\(stranger): \(ratio) of the time of a known user")
            #expect((0.2...0.8).contains(rank), "\(stranger): slower than a known user in \(rank) of the pairs")
        }
    }

    @Test("BF-05: whoever is held back learns no more from the time: no hash for anybody", .timeLimit(.minutes(5)))
    func sameTimeThrottled() async throws {
        let test = try await TestNode.start()
        var times: [Stranger: [Double]] = [:]
        let strangers: [Stranger] = [.known, .unknown, .disabled]
        for stranger in strangers {
            try await stranger.prepare(test)
            for _ in 0..<6 { _ = await attempt(test, stranger.name(), from: try #require(PeerAddress("203.0.113.1"))) }
        }
        for round in 0..<200 {
            for stranger in strangers {
                times[stranger, default: []].append(
                    await duration(test, stranger.name(), try #require(PeerAddress("198.51.100.\(round)"))))
            }
        }
        let known = try #require(times[.known])
        for stranger in strangers.dropFirst() {
            let ratio = quartile(try #require(times[stranger])) / quartile(known)
            #expect((0.5...2).contains(ratio), "\(stranger): \(ratio) of the time of a known user")
        }
    }
}
