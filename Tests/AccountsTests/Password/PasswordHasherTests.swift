import AuthCore
import Synchronization
import Testing

@testable import Accounts

@Suite("Password hasher")
struct PasswordHasherTests {
    private let small = Argon2Parameters(checkedMemoryKiB: 64, iterations: 1, parallelism: 1)

    private func hasher(_ parameters: Argon2Parameters? = nil) throws -> PasswordHasher {
        try PasswordHasher(parameters: parameters ?? small, environment: TestEnvironment().environment)
    }

    @Test("a new hash is Argon2id with the current parameters and a salt of its own (PW-07, PW-08)")
    func new() throws {
        let hasher = try hasher()
        let password = Password(Secret("correct-horse-battery"))
        let first = try hasher.hash(password).exposed
        let second = try hasher.hash(password).exposed
        #expect(first.hasPrefix("$argon2id$v=19$m=64,t=1,p=1$"))
        #expect(!first.isSameBytes(as: second))
        guard case .argon2(let parsed) = try PasswordHash(parsing: Secret(first)).scheme else {
            Issue.record("no Argon2")
            return
        }
        #expect(parsed.salt.count == 16 && parsed.hash.count == 32)
        #expect(try hasher.verify(password, against: PasswordHash(parsing: Secret(first))) == .right(needsUpgrade: false))
        #expect(try hasher.verify(Password(Secret("x")), against: PasswordHash(parsing: Secret(first))) == .wrong)
    }

    @Test("raised parameters and foreign formats ask for an upgrade at the next sign-in (PW-08, PW-13)")
    func upgrade() throws {
        let password = Password(Secret("correct-horse-battery"))
        let old = try hasher().hash(password)
        let raised = try hasher(Argon2Parameters(checkedMemoryKiB: 64, iterations: 2, parallelism: 1))
        #expect(try raised.verify(password, against: PasswordHash(parsing: old)) == .right(needsUpgrade: true))
        #expect(try raised.verify(password, against: PasswordHash(parsing: raised.hash(password))) == .right(needsUpgrade: false))
        let foreign = "$2a$04$vo./KSKG2brwv/H.0CYH6ep5BwQCGtZfrZHNW7z/K5.FH7abu/FfC"
        #expect(try raised.verify(password, against: PasswordHash(parsing: Secret(foreign))) == .right(needsUpgrade: true))
    }

    @Test("the two forms of one text are one password, and the case of letters and spaces matter (PW-04)")
    func normalForm() throws {
        let hasher = try hasher()
        let stored = try PasswordHash(parsing: hasher.hash(Password(Secret("p\u{E4}ssw\u{F6}rd lang genug"))))
        let rows: [(String, Bool)] = [
            ("pa\u{308}sswo\u{308}rd lang genug", true), ("p\u{E4}ssw\u{F6}rd\u{A0}lang\u{3000}genug", true),
            ("P\u{E4}ssw\u{F6}rd lang genug", false), ("p\u{E4}ssw\u{F6}rd lang genug ", false), ("passwo\u{308}rd lang genug", false),
        ]
        for (typed, expected) in rows {
            let found = try hasher.verify(Password(Secret(typed)), against: stored)
            #expect((found != .wrong) == expected, "\(typed)")
        }
        // argon2-cffi, NFC.
        let made = "$argon2id$v=19$m=64,t=1,p=1$/9HQlAiKwFxAycQWs7OcHA$Kw1NA8L5UoJq5eh9S2teLZQ1/NQLB9eKcAQDsnWiSHo"
        let decomposed = Password(Secret("pa\u{308}sswo\u{308}rd-with-u\u{308}ni\u{308}code"))
        #expect(try hasher.verify(decomposed, against: PasswordHash(parsing: Secret(made))) != .wrong)
    }

    @Test("a foreign hash that was made without a normal form is found by the bytes as typed")
    func foreignForm() throws {
        // Django, of "cafe\u{301}-crème-brulee" as typed.
        let typed = "cafe\u{301}-crème-brulee"
        let key = try PBKDF2Hash.derive(.sha256, Array(typed.utf8), salt: Array("salt".utf8), rounds: 10, count: 32)
        let stored = try PasswordHash(parsing: Secret("pbkdf2_sha256$10$salt$\(Base64.encode(key))"))
        #expect(try hasher().verify(Password(Secret(typed)), against: stored) == .right(needsUpgrade: true))
        #expect(try hasher().verify(Password(Secret("caf\u{E9}-crème-brulee")), against: stored) == .wrong)
    }

    @Test("a password above 1 KiB is wrong, and never hashed (PW-02)")
    func long() throws {
        let hasher = try hasher()
        let million = Password(Secret(String(repeating: "a", count: 1_000_000)))
        #expect(million.isTooLong)
        #expect(throws: PasswordHashError.malformed) { try hasher.hash(million) }
        let empty = try PasswordHash(parsing: hasher.hash(Password(Secret(""))))
        #expect(try hasher.verify(million, against: empty) == .wrong)
        #expect(!Password(Secret(String(repeating: "a", count: 1_024))).isTooLong)
        #expect(Password(Secret(String(repeating: "a", count: 1_025))).isTooLong)
        // NFC makes three code points of each of these: 2 bytes become 6.
        #expect(Password(Secret(String(repeating: "\u{1D160}", count: 256))).isTooLong)
    }

    @Test("an unknown user costs a hash with the current parameters (PW-11)")
    func dummy() throws {
        let large = try hasher(Argon2Parameters(checkedMemoryKiB: 32_768, iterations: 2, parallelism: 1))
        let password = Password(Secret("correct-horse-battery"))
        let stored = try PasswordHash(parsing: large.hash(password))
        func least(_ body: () throws -> Void) rethrows -> Duration {
            let clock = ContinuousClock()
            return try (0..<5).map { _ in try clock.measure(body) }.min() ?? .zero
        }
        let known = try least { _ = try large.verify(Password(Secret("wrong-horse-battery")), against: stored) }
        let unknown = try least { try large.dummyVerify(password) }
        #expect(unknown > known / 3 && known > unknown / 3)
    }
}

@Suite("Tuning of the password hash")
struct HashTuningTests {
    /// A machine that needs `nanoseconds` for each KiB and pass.
    private func tune(_ nanoseconds: Int64, target: Duration, memoryKiBMax: Int = 262_144) -> (TunedPasswordHashing, calls: Int) {
        var calls = 0
        let tuned = tunePasswordHashing(target: target, memoryKiBMax: memoryKiBMax) { parameters in
            calls += 1
            // The first of each three is disturbed, and must not count.
            return .nanoseconds(nanoseconds * Int64(parameters.memoryKiB * parameters.iterations)) + (calls % 3 == 1 ? .seconds(9) : .zero)
        }
        return (tuned, calls)
    }

    @Test("memory is raised first, and then the passes")
    func memoryFirst() {
        let (middle, calls) = tune(400, target: .milliseconds(100))
        #expect(middle.parameters == Argon2Parameters(memoryKiB: 122 * 1_024, iterations: 2, parallelism: 1))
        #expect(middle.measured <= .milliseconds(100))
        #expect(calls <= 120)
        let (fast, _) = tune(400, target: .milliseconds(500), memoryKiBMax: 131_072)
        #expect(fast.parameters == Argon2Parameters(memoryKiB: 131_072, iterations: 9, parallelism: 1))
        #expect(fast.measured <= .milliseconds(500))
    }

    @Test("a slow machine keeps the least that is recommended (PW-07)")
    func floor() {
        let (slow, calls) = tune(10_000, target: .milliseconds(50))
        #expect(slow.parameters == .standard)
        #expect(slow.measured > .milliseconds(50))
        #expect(calls == 3)
        #expect(tune(400, target: .seconds(1), memoryKiBMax: 1).0.parameters.memoryKiB == 19 * 1_024)
    }

    @Test("whatever the machine and the target, the answer is a valid choice within the target or the floor")
    func bounds() throws {
        for nanoseconds in [0, 1, 50, 400, 3_000] as [Int64] {
            for milliseconds in [0, 1, 20, 250, 10_000] {
                for memory in [0, 20_000, 1_048_576, Int.max] {
                    let (tuned, calls) = tune(nanoseconds, target: .milliseconds(milliseconds), memoryKiBMax: memory)
                    #expect(tuned.parameters == .standard || tuned.measured <= .milliseconds(milliseconds))
                    #expect(tuned.parameters.isRecommended && tuned.parameters.memoryKiB <= max(19_456, min(memory, 1_048_576)))
                    #expect(calls <= 120)
                }
            }
        }
    }
}
