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
