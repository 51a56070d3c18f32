import AuthCore
import Store
import Testing
import TokenKeys

@Suite("Key rotation: published before used, used, retired (JK-03)")
struct KeyRotationTests {
    static let start = Instant(seconds: 1_000_000)
    let rotation = KeyRotation(
        algorithm: "ES256", rotateEvery: .seconds(1_000), jwksMaxAge: .seconds(300), tokenLifetimeMax: .seconds(660),
        clockBound: .seconds(2)
    )

    private func spare(_ id: Identifier, at now: Instant, algorithm: String = "ES256") -> SigningKeyRecord {
        SigningKeyRecord(id: id, algorithm: algorithm, state: .next, publicJWK: "{}", sealedPrivateKey: [], publishedAt: now)
    }

    private func states(_ keys: [SigningKeyRecord]) -> [String] { keys.map { "\($0.id) \($0.state.rawValue)" } }

    @Test("the first start signs at once and publishes the next key")
    func first() {
        let keys = rotation.plan([], at: Self.start, for: .upkeep, spares: [spare("a", at: Self.start), spare("b", at: Self.start)])
        #expect(states(keys) == ["a active", "b next"])
    }

    @Test("a key that is due changes only after the next one was published for longer than caches keep the set")
    func due() {
        var keys = rotation.plan([], at: Self.start, for: .upkeep, spares: [spare("a", at: Self.start), spare("b", at: Self.start)])
        keys[1].publishedAt = Self.start + .seconds(900)
        let early = Self.start + .seconds(1_201)
        #expect(states(rotation.plan(keys, at: early, for: .upkeep, spares: [spare("c", at: early)])) == ["a active", "b next"])
        #expect(rotation.nextDue(keys, at: early) == Self.start + .seconds(1_202))
        let late = Self.start + .seconds(1_202)
        let rotated = rotation.plan(keys, at: late, for: .upkeep, spares: [spare("c", at: late)])
        #expect(states(rotated) == ["a retired", "b active", "c next"])
        #expect(rotation.isPublished(rotated[0], at: late + .seconds(661)))
        #expect(!rotation.isPublished(rotated[0], at: late + .seconds(662)))
    }

    @Test("an operator's rotation still waits for caches; a revocation does not wait, because nobody could sign in")
    func asked() {
        let keys = rotation.plan([], at: Self.start, for: .upkeep, spares: [spare("a", at: Self.start), spare("b", at: Self.start)])
        let soon = Self.start + .seconds(10)
        #expect(states(rotation.plan(keys, at: soon, for: .rotate, spares: [spare("c", at: soon)])) == ["a active", "b next"])
        let revoked = rotation.plan(keys, at: soon, for: .revoke("a"), spares: [spare("c", at: soon)])
        #expect(states(revoked) == ["a revoked", "b active", "c next"])
        #expect(!rotation.isPublished(revoked[0], at: soon))
        let next = rotation.plan(keys, at: soon, for: .revoke("b"), spares: [spare("c", at: soon)])
        #expect(states(next) == ["a active", "b revoked", "c next"])
    }

    private var rings: KeyRotation {
        var rings = rotation
        rings.idTokenAlgorithms = ["RS256", "ES256", "EdDSA", "RS256"]
        return rings
    }

    private func spares(_ prefix: String, at now: Instant) -> [SigningKeyRecord] {
        ["ES256", "RS256", "EdDSA", "PS256"].flatMap { algorithm in
            (1...2).map { spare(Identifier("\(prefix)-\(algorithm)-\($0)"), at: now, algorithm: algorithm) }
        }
    }

    @Test("every ring of the settings begins at the first start, each with a key that signs and a next one, and no other does")
    func firstRings() {
        let keys = rings.plan([], at: Self.start, for: .upkeep, spares: spares("a", at: Self.start))
        #expect(
            states(keys) == [
                "a-ES256-1 active", "a-ES256-2 next", "a-RS256-1 active", "a-RS256-2 next", "a-EdDSA-1 active", "a-EdDSA-2 next",
            ])
        #expect(rings.signing(keys)?.id == "a-ES256-1")
        #expect(rings.algorithms == ["ES256", "RS256", "EdDSA"])
    }

    @Test("a ring that comes later signs when every live node has acknowledged its key, and never in the plan that brings the key")
    func laterRing() {
        let first = rotation.plan([], at: Self.start, for: .upkeep, spares: spares("a", at: Self.start))
        let soon = Self.start + .seconds(5)
        let begun = rings.plan(first, at: soon, for: .upkeep, spares: [spare("r1", at: soon, algorithm: "RS256")])
        #expect(states(begun) == ["a-ES256-1 active", "a-ES256-2 next", "r1 next"])
        #expect(rings.nextDue(begun, at: soon) == soon)
        let unread = rings.plan(begun, at: soon, for: .upkeep, spares: spares("b", at: soon), areAcknowledged: false)
        #expect(states(unread.filter { $0.algorithm == "RS256" }) == ["r1 next"])
        let read = rings.plan(begun, at: soon, for: .upkeep, spares: spares("b", at: soon))
        #expect(states(read.filter { $0.algorithm == "RS256" }) == ["r1 active", "b-RS256-1 next"])
        #expect(rings.signing(read)?.id == "a-ES256-1")
    }

    @Test("rings rotate apart, each at its own time; an operator's rotation is for all that may")
    func apart() {
        var keys = rings.plan([], at: Self.start, for: .upkeep, spares: spares("a", at: Self.start))
        for index in keys.indices where keys[index].id == "a-RS256-1" { keys[index].activatedAt = Self.start - .seconds(500) }
        let due = Self.start + .seconds(500)
        #expect(rings.nextDue(keys, at: Self.start) == due)
        let rotated = rings.plan(keys, at: due, for: .upkeep, spares: spares("b", at: due))
        #expect(
            Set(states(rotated)).symmetricDifference(states(keys)).sorted() == [
                "a-RS256-1 active", "a-RS256-1 retired", "a-RS256-2 active", "a-RS256-2 next", "b-RS256-1 next",
            ])
        let asked = rings.plan(rotated, at: due, for: .rotate, spares: spares("c", at: due))
        #expect(asked.filter { $0.state == .active }.map(\.id.text).sorted() == ["a-ES256-2", "a-EdDSA-2", "a-RS256-2"])
    }

    @Test("a revoked key is followed at once in its own ring, and the others stay (JK-04)")
    func revokedInRing() {
        let keys = rings.plan([], at: Self.start, for: .upkeep, spares: spares("a", at: Self.start))
        let soon = Self.start + .seconds(1)
        // The key after it is not there yet: those of RSA are made apart.
        let revoked = rings.plan(keys, at: soon, for: .revoke("a-RS256-1"), spares: [], areAcknowledged: false)
        #expect(
            Set(states(revoked)).symmetricDifference(states(keys)).sorted() == [
                "a-RS256-1 active", "a-RS256-1 revoked", "a-RS256-2 active", "a-RS256-2 next",
            ])
        let again = rings.plan(revoked, at: soon, for: .revoke("a-RS256-2"), spares: [], areAcknowledged: false)
        #expect(!again.contains { $0.algorithm == "RS256" && $0.state == .active })
        let made = [spare("r1", at: soon, algorithm: "RS256"), spare("r2", at: soon, algorithm: "RS256")]
        let mended = rings.plan(again, at: soon, for: .upkeep, spares: made, areAcknowledged: false)
        #expect(states(mended.filter { $0.algorithm == "RS256" }) == ["a-RS256-1 revoked", "a-RS256-2 revoked", "r1 active", "r2 next"])
    }

    @Test("access tokens change at once to a ring that signs already; the ring before it stays for ID tokens, or is retired")
    func changedToRing() {
        let keys = rings.plan([], at: Self.start, for: .upkeep, spares: spares("a", at: Self.start))
        var other = rings
        other.algorithm = "EdDSA"
        let soon = Self.start + .seconds(1)
        let changed = other.plan(keys, at: soon, for: .upkeep, spares: spares("b", at: soon))
        #expect(states(changed) == states(keys))
        #expect(other.signing(changed)?.id == "a-EdDSA-1")
        other.idTokenAlgorithms = ["RS256"]
        let gone = other.plan(keys, at: soon, for: .upkeep, spares: spares("b", at: soon))
        #expect(states(gone.filter { $0.algorithm == "ES256" }) == ["a-ES256-1 retired", "a-ES256-2 retired"])
        #expect(other.isPublished(gone[0], at: soon + .seconds(661)) && !other.isPublished(gone[0], at: soon + .seconds(662)))
        #expect(!other.isPublished(gone[1], at: soon))
    }

    @Test("access tokens change to a new ring like to a next key, and the ring before it goes on, unless it is revoked")
    func changedToNewRing() {
        var before = rotation
        before.idTokenAlgorithms = ["RS256"]
        var after = before
        after.algorithm = "EdDSA"
        let keys = before.plan([], at: Self.start, for: .upkeep, spares: spares("a", at: Self.start))
        let soon = Self.start + .seconds(5)
        let waiting = after.plan(keys, at: soon, for: .upkeep, spares: spares("b", at: soon))
        #expect(after.signing(waiting)?.id == "a-ES256-1", "not with what is there for ID tokens")
        #expect(states(waiting.filter { $0.algorithm == "EdDSA" }) == ["b-EdDSA-1 next"])
        #expect(after.nextDue(waiting, at: soon) == soon + .seconds(302))
        let later = soon + .seconds(302)
        #expect(after.signing(after.plan(waiting, at: later, for: .upkeep, spares: [], areAcknowledged: false))?.id == "a-ES256-1")
        let changed = after.plan(waiting, at: later, for: .upkeep, spares: spares("c", at: later))
        #expect(after.signing(changed)?.id == "b-EdDSA-1")
        #expect(changed.first { $0.id == "a-ES256-1" }?.state == .retired)
        let revoked = after.plan(waiting, at: soon, for: .revoke("a-ES256-1"), spares: [], areAcknowledged: false)
        #expect(after.signing(revoked)?.id == "b-EdDSA-1")
    }

    /// Walks seeded ways through upkeep, rotation, revocation, waiting, nodes that lag, keys that are late and changed settings.
    @Test("of several rings each has at most one active and one next key, access tokens always have one, and none signs too early")
    func walkOfRings() {
        var random = SplitMix(state: 42)
        for _ in 0..<200 {
            var rotation = rings
            var now = Self.start
            var keys = rotation.plan([], at: now, for: .upkeep, spares: spares("0", at: now))
            for step in 1...40 {
                now = now + .seconds([1, 10, 303, 1_001][Int(random.next() % 4)])
                if random.next() % 8 == 0 { rotation.algorithm = ["ES256", "EdDSA", "RS256"][Int(random.next() % 3)] }
                if random.next() % 8 == 0 {
                    rotation.idTokenAlgorithms = ["RS256", "EdDSA", "PS256", "ES256"].filter { _ in random.next() % 2 == 0 }
                }
                let made = spares("\(step)", at: now).filter { !["RS256", "PS256"].contains($0.algorithm) || random.next() % 2 == 0 }
                let victim = keys[Int(random.next() % UInt64(keys.count))].id
                let reasons: [KeyRotation.Reason] = [.upkeep, .upkeep, .rotate, .revoke(victim)]
                let reason = reasons[Int(random.next() % 4)]
                let areAcknowledged = random.next() % 2 == 0
                let before = keys
                keys = rotation.plan(keys, at: now, for: reason, spares: made, areAcknowledged: areAcknowledged)
                for algorithm in ["ES256", "RS256", "EdDSA", "PS256"] {
                    let ring = keys.filter { $0.algorithm == algorithm }
                    #expect(ring.filter { $0.state == .active }.count <= 1 && ring.filter { $0.state == .next }.count <= 1)
                    guard let active = ring.first(where: { $0.state == .active }), active.activatedAt == now,
                        before.first(where: { $0.id == active.id })?.state != .active
                    else { continue }
                    // What took over from a key that is sound had been acknowledged, and had been published.
                    if let last = before.first(where: { $0.algorithm == algorithm && $0.state == .active }), reason != .revoke(last.id) {
                        #expect(areAcknowledged && active.publishedAt + .seconds(302) <= now)
                    }
                }
                // Made apart, a key of RSA may be missing for a moment; all others never are.
                if !["RS256"].contains(rotation.algorithm) { #expect(rotation.signing(keys) != nil) }
            }
        }
    }

    @Test("another algorithm waits like any other next key: the old one signs until then, what has not signed never will")
    func algorithm() {
        let keys = rotation.plan([], at: Self.start, for: .upkeep, spares: [spare("a", at: Self.start), spare("b", at: Self.start)])
        var other = rotation
        other.algorithm = "EdDSA"
        let now = Self.start + .seconds(5)
        let spares = [spare("x", at: now, algorithm: "EdDSA"), spare("y", at: now, algorithm: "EdDSA")]
        let waiting = other.plan(keys, at: now, for: .upkeep, spares: spares)
        #expect(states(waiting) == ["a active", "b retired", "x next"])
        #expect(!other.isPublished(waiting[1], at: now))
        #expect(other.nextDue(waiting, at: now) == now + .seconds(302))
        let later = now + .seconds(302)
        let changed = other.plan(waiting, at: later, for: .upkeep, spares: [spare("z", at: later, algorithm: "EdDSA")])
        #expect(states(changed) == ["a retired", "b retired", "x active", "z next"])
        // The algorithm's change does not delay what cannot wait.
        let revoked = other.plan(waiting, at: now, for: .revoke("a"), spares: [spare("z", at: now, algorithm: "EdDSA")])
        #expect(states(revoked) == ["a revoked", "b retired", "x active", "z next"])
    }

    @Test("no key is used before every live node has acknowledged it, however long it was published; a revocation does not wait (JK-03)")
    func acknowledged() {
        let keys = rotation.plan([], at: Self.start, for: .upkeep, spares: [spare("a", at: Self.start), spare("b", at: Self.start)])
        let late = Self.start + .seconds(9_000)
        func plan(_ reason: KeyRotation.Reason, _ areAcknowledged: Bool) -> [String] {
            states(rotation.plan(keys, at: late, for: reason, spares: [spare("c", at: late)], areAcknowledged: areAcknowledged))
        }
        #expect(plan(.upkeep, false) == ["a active", "b next"])
        #expect(plan(.rotate, false) == ["a active", "b next"])
        #expect(plan(.upkeep, true) == ["a retired", "b active", "c next"])
        #expect(plan(.revoke("a"), false) == ["a revoked", "b active", "c next"])
    }

    /// Walks every order of upkeep, rotation, revocation and waiting, and checks what must always hold.
    @Test("always one active and one next key, and no key signs before it was published long enough")
    func walk() {
        var visited = 0
        func step(_ keys: [SigningKeyRecord], _ now: Instant, _ depth: Int, _ count: Int) {
            visited += 1
            #expect(keys.filter { $0.state == .active }.count == 1)
            #expect(keys.filter { $0.state == .next }.count == 1)
            #expect(Set(keys.map(\.id)).count == keys.count)
            if depth == 0 { return }
            let active = keys.first { $0.state == .active }
            for wait in [1, 303, 1_001] {
                let later = now + .seconds(wait)
                let spares = [spare(Identifier("k\(count)"), at: later), spare(Identifier("k\(count + 1)"), at: later)]
                for reason in [KeyRotation.Reason.upkeep, .rotate, .revoke(active?.id ?? "")] {
                    let next = rotation.plan(keys, at: later, for: reason, spares: spares)
                    for key in next where key.state == .active && key.id != active?.id && reason != .revoke(active?.id ?? "") {
                        #expect(key.publishedAt + .seconds(302) <= later)
                    }
                    step(next, later, depth - 1, count + 2)
                }
            }
        }
        step(
            rotation.plan([], at: Self.start, for: .upkeep, spares: [spare("a", at: Self.start), spare("b", at: Self.start)]), Self.start,
            4, 0)
        #expect(visited > 5_000)
    }
}

private struct SplitMix: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var value = (state ^ (state >> 30)) &* 0xBF58_476D_1CE4_E5B9
        value = (value ^ (value >> 27)) &* 0x94D0_49BB_1331_11EB
        return value ^ (value >> 31)
    }
}
