import AuthCore
import Store
import Synchronization
import Testing
import TokenVerification

@testable import TokenKeys

/// A store of keys in which a test holds back the answer of one call, to choose who comes last.
private final class HeldStore: SigningKeyStore {
    private struct State {
        var records: [SigningKeyRecord] = []
        var holdsReading = false
        var holdsChange = false
        var held: CheckedContinuation<Void, Never>?
        var onHeld: CheckedContinuation<Void, Never>?
    }

    private let state = Mutex(State())

    var records: [SigningKeyRecord] { state.withLock { $0.records } }

    /// The next reading, or the next change, has happened, and its caller learns of it only at `release`.
    func holdReading() { state.withLock { $0.holdsReading = true } }
    func holdChange() { state.withLock { $0.holdsChange = true } }

    func signingKeys() async throws(StoreError) -> [SigningKeyRecord] {
        let (records, holds) = state.withLock { state in
            defer { state.holdsReading = false }
            return (state.records, state.holdsReading)
        }
        if holds { await hold() }
        return records
    }

    func changeSigningKeys(
        event: AuditEvent?, _ plan: @escaping @Sendable ([SigningKeyRecord], Bool) -> [SigningKeyRecord]
    ) async throws(StoreError) -> [SigningKeyRecord] {
        let (records, holds) = state.withLock { state in
            defer { state.holdsChange = false }
            state.records = plan(state.records, true)
            return (state.records, state.holdsChange)
        }
        if holds { await hold() }
        return records
    }

    private func hold() async {
        await withCheckedContinuation { continuation in
            let waiting = state.withLock { state in
                state.held = continuation
                return state.onHeld.take()
            }
            waiting?.resume()
        }
    }

    /// Returns once a call is held back.
    func untilHeld() async {
        await withCheckedContinuation { continuation in
            let isHeld = state.withLock { state in
                if state.held == nil { state.onHeld = continuation }
                return state.held != nil
            }
            if isHeld { continuation.resume() }
        }
    }

    func release() { state.withLock { $0.held.take() }?.resume() }
}

@Suite("Signing keys: one snapshot, swapped in the order of what happened")
struct SigningKeysTests {
    private let store = HeldStore()
    private let told = Told()

    /// What verifiers were told, in order.
    private final class Told: Sendable {
        private let sets = Mutex<[[Identifier]]>([])
        var last: [Identifier] { sets.withLock { $0.last ?? [] } }
        func append(_ set: KeySet) { sets.withLock { $0.append(set.keys.map(\.id)) } }
    }

    private func keys(
        masterSeed: UInt8 = 1, algorithm: String = "ES256", idTokens: [String] = [], now: Instant = Instant(seconds: 1_000_000)
    ) throws -> SigningKeys {
        var environment = Environment.live
        environment.now = { now }
        let rotation = KeyRotation(
            algorithm: algorithm, idTokenAlgorithms: idTokens, rotateEvery: .seconds(1_000), jwksMaxAge: .seconds(300),
            tokenLifetimeMax: .seconds(660))
        return SigningKeys(
            store: store, masterKeys: try MasterKeys([Secret([UInt8](repeating: masterSeed, count: 32))]), rotation: rotation,
            environment: environment
        ) { [told] in told.append($0) }
    }

    private func active(_ keys: SigningKeys) throws -> Identifier {
        try #require(keys.records.first { $0.state == .active }?.id)
    }

    private func expectLatest(_ keys: SigningKeys, without revoked: Identifier) throws {
        #expect(Set(keys.records.map(\.id)) == Set(store.records.map(\.id)))
        #expect(keys.records.first { $0.id == revoked }?.state == .revoked)
        #expect(try active(keys) != revoked)
        #expect(!String(decoding: keys.published.body, as: UTF8.self).contains(revoked.text))
        #expect(!told.last.contains(revoked))
        let header = try #require(Base64URL.decode(String(try keys.sign([0x7B, 0x7D], as: .accessToken).prefix { $0 != "." })))
        #expect(!String(decoding: header, as: UTF8.self).contains(revoked.text))
    }

    @Test("JK-04: what was read before a key was revoked and arrives after it does not bring the key back")
    func lateReading() async throws {
        let keys = try keys()
        try await keys.maintain()
        let revoked = try active(keys)
        store.holdReading()
        async let upkeep = keys.maintain()
        await store.untilHeld()
        try await keys.maintain(for: .revoke(revoked))
        store.release()
        _ = try await upkeep
        try expectLatest(keys, without: revoked)
    }

    @Test("JK-04: of two changes the one that was committed last stays, whichever caller hears of its own first")
    func lateChange() async throws {
        let keys = try keys()
        try await keys.maintain()
        let first = try active(keys)
        let next = try #require(keys.records.first { $0.state == .next }?.id)
        store.holdChange()
        async let earlier = keys.maintain(for: .revoke(next))
        await store.untilHeld()
        try await keys.maintain(for: .revoke(first))
        store.release()
        _ = try await earlier
        try expectLatest(keys, without: first)
        try expectLatest(keys, without: next)
    }

    @Test("JK-09: the same claims signed twice give two signatures, both good, and each algorithm its own form")
    func signatures() async throws {
        for (algorithm, bytes) in [("ES256", 64), ("EdDSA", 64), ("RS256", 256), ("PS256", 256)] {
            let store = HeldStore()
            let sets = Mutex<KeySet>(.empty)
            var environment = Environment.live
            environment.now = { Instant(seconds: 1_000_000) }
            let rotation = KeyRotation(
                algorithm: algorithm, rotateEvery: .seconds(1_000), jwksMaxAge: .seconds(300), tokenLifetimeMax: .seconds(660))
            let keys = SigningKeys(
                store: store, masterKeys: try MasterKeys([Secret([UInt8](repeating: 1, count: 32))]), rotation: rotation,
                environment: environment
            ) { set in sets.withLock { $0 = set } }
            try await keys.maintain()
            var signatures = Set<[UInt8]>()
            for _ in 0..<2 {
                let parts = try keys.sign(Array("{}".utf8), as: .accessToken).split(separator: ".")
                let signature = try #require(Base64URL.decode(String(parts[2])))
                let key = try #require(sets.withLock { $0 }.keys.first { $0.id == keys.records.first { $0.state == .active }?.id })
                #expect(signature.count == bytes)
                #expect(key.isValidSignature(signature, for: Array((parts[0] + "." + parts[1]).utf8)))
                signatures.insert(signature)
            }
            // PKCS#1 v1.5 and Ed25519 (in some libraries) are deterministic; ECDSA here draws its nonce, PSS its salt.
            if ["ES256", "PS256"].contains(algorithm) { #expect(signatures.count == 2) }
        }
    }

    private func header(_ token: String) throws -> JSONObject {
        let bytes = try #require(Base64URL.decode(String(token.prefix { $0 != "." })))
        return try #require(try JSONReader.read(bytes).object)
    }

    @Test("each ring signs under its own key, and all are published; no type of token is another's")
    func rings() async throws {
        let keys = try keys(idTokens: ["RS256", "PS256", "EdDSA"])
        try await keys.maintain()
        #expect(keys.idTokenAlgorithms == [.rs256, .ps256, .edDSA])
        let document = try #require(try JSONReader.read(keys.published.body).object)
        let set = try KeySet(jwks: document)
        #expect(set.keys.count == 8)
        #expect(told.last.sorted() == set.keys.map(\.id).sorted())
        let types: [(SigningKeys.TokenType, String)] = [
            (.accessToken, "at+jwt"), (.identity, "identity+jwt"), (.idToken, "JWT"), (.logoutToken, "logout+jwt"),
            (.authorizationResponse, "JWT"), (.introspectionResponse, "token-introspection+jwt"), (.userInfo, "JWT"),
        ]
        #expect(types.count == SigningKeys.TokenType.allCases.count)
        for algorithm in [nil, SignatureAlgorithm.es256, .rs256, .ps256, .edDSA] {
            for (type, name) in types {
                let token = try keys.sign(Array("{}".utf8), as: type, algorithm: algorithm)
                let (header, parts) = (try header(token), token.split(separator: "."))
                #expect(header["typ"]?.string == name)
                #expect(header["alg"]?.string == (algorithm ?? .es256).rawValue)
                let key = try #require(set.key(Identifier(header["kid"]?.string ?? "")))
                #expect(key.algorithm == algorithm ?? .es256)
                #expect(keys.records.first { $0.id == key.id }?.state == .active)
                let signature = try #require(Base64URL.decode(String(parts[2])))
                #expect(key.isValidSignature(signature, for: Array("\(parts[0]).\(parts[1])".utf8)))
            }
        }
    }

    @Test("a start waits for no RSA key, and says truly what it can sign with; upkeep makes the rest, once however many ask")
    func slowKeys() async throws {
        let keys = try keys(idTokens: ["RS256", "ES256", "EdDSA"])
        let due = try await keys.maintain(makesSlowKeys: false)
        #expect(due == Instant(seconds: 1_000_000), "upkeep has something to do at once")
        #expect(keys.idTokenAlgorithms == [.es256, .edDSA])
        #expect(throws: SigningKeysError.noActiveKey) { try keys.sign([], as: .idToken, algorithm: .rs256) }
        #expect(throws: SigningKeysError.unsupportedAlgorithm("PS256")) { try keys.sign([], as: .idToken, algorithm: .ps256) }
        #expect(throws: SigningKeysError.unsupportedAlgorithm("HS256")) { try keys.sign([], as: .idToken, algorithm: .hs256) }
        await withTaskGroup(of: Void.self) { group in
            for _ in 0..<64 {
                group.addTask { await #expect(throws: Never.self) { try await keys.maintain() } }
            }
        }
        #expect(keys.idTokenAlgorithms == [.rs256, .es256, .edDSA])
        for algorithm in ["RS256", "ES256", "EdDSA"] {
            let ring = store.records.filter { $0.algorithm == algorithm }
            #expect(ring.map(\.state.rawValue).sorted() == ["active", "next"])
        }
        #expect(keys.records.map(\.algorithm) == ["ES256", "ES256", "RS256", "RS256", "EdDSA", "EdDSA"])
        #expect(try await keys.maintain() == Instant(seconds: 1_001_000))
    }

    @Test("a start with RS256 for access tokens waits for the one key without which nobody could sign in")
    func slowStart() async throws {
        let keys = try keys(algorithm: "RS256", idTokens: ["RS256", "ES256"])
        try await keys.maintain(makesSlowKeys: false)
        #expect(try header(try keys.sign([0x7B, 0x7D], as: .accessToken))["alg"]?.string == "RS256")
        #expect(store.records.filter { $0.algorithm == "RS256" }.map(\.state) == [.active])
        try await keys.maintain()
        #expect(store.records.filter { $0.algorithm == "RS256" }.map(\.state) == [.active, .next])
    }

    @Test("JK-04: the key of one ring is revoked, and the other rings sign as before")
    func revokedRing() async throws {
        let keys = try keys(idTokens: ["RS256", "EdDSA"])
        try await keys.maintain()
        let access = try header(try keys.sign([], as: .accessToken))["kid"]?.string
        let revoked = try #require(try header(try keys.sign([], as: .idToken, algorithm: .rs256))["kid"]?.string)
        try await keys.maintain(for: .revoke(Identifier(revoked)))
        #expect(try header(try keys.sign([], as: .accessToken))["kid"]?.string == access)
        let next = try header(try keys.sign([], as: .idToken, algorithm: .rs256))["kid"]?.string
        #expect(next != nil && next != revoked)
        #expect(!String(decoding: keys.published.body, as: UTF8.self).contains(revoked))
        #expect(store.records.filter { $0.algorithm == "RS256" }.map(\.state.rawValue).sorted() == ["active", "next", "revoked"])
    }

    @Test("another algorithm for access tokens: those of the ring before it stay good, and nothing else is signed with it")
    func changedAlgorithm() async throws {
        try await keys(idTokens: ["EdDSA"]).maintain()
        let changed = try keys(algorithm: "EdDSA", idTokens: ["EdDSA"], now: Instant(seconds: 1_000_010))
        try await changed.maintain()
        #expect(try header(try changed.sign([], as: .accessToken))["alg"]?.string == "EdDSA")
        #expect(changed.published.keySet.keys.map(\.algorithm.rawValue).sorted() == ["ES256", "EdDSA", "EdDSA"])
        #expect(throws: SigningKeysError.unsupportedAlgorithm("ES256")) { try changed.sign([], as: .idToken, algorithm: .es256) }
        let later = try keys(algorithm: "EdDSA", idTokens: ["EdDSA"], now: Instant(seconds: 1_000_700))
        try await later.maintain()
        #expect(!later.published.keySet.keys.contains { $0.algorithm == .es256 })
    }

    /// What may have happened to the stored row of a key.
    enum Damage: String, CaseIterable, Sendable { case cut, altered, ofAnotherRow, otherMasterKey, unknownAlgorithm }

    @Test(
        "JK-05, JK-08: a stored key that is not exactly what was sealed for its row is refused, and nothing is signed",
        arguments: Damage.allCases)
    func damaged(_ damage: Damage) async throws {
        try await keys().maintain()
        let again = try keys(masterSeed: damage == .otherMasterKey ? 2 : 1)
        _ = try await store.changeSigningKeys(event: nil) { records, _ in
            var records = records
            switch damage {
            case .cut: records[0].sealedPrivateKey.removeLast()
            case .altered: records[0].sealedPrivateKey[40] ^= 1
            case .ofAnotherRow: records[0].sealedPrivateKey = records[1].sealedPrivateKey
            case .otherMasterKey: break
            case .unknownAlgorithm: records[0].algorithm = "HS256"
            }
            return records
        }
        await #expect(throws: SigningKeysError.self) { try await again.maintain() }
        #expect(throws: SigningKeysError.noActiveKey) { try again.sign(Array("{}".utf8), as: .accessToken) }
    }

    @Test("JK-01: what is published has no private member; JK-05: what is stored has none in clear")
    func parts() async throws {
        for algorithm in ["ES256", "EdDSA", "RS256"] {
            let keys = try keys(algorithm: algorithm)
            try await keys.maintain()
            let document = try #require(try JSONReader.read(keys.published.body).object)
            #expect((document["keys"]?.array ?? []).count >= 2)
            for key in document["keys"]?.array ?? [] {
                for member in ["d", "p", "q", "dp", "dq", "qi", "oth", "k"] { #expect(key.object?[member] == nil) }
                #expect(key.object?["use"]?.string == "sig")
                #expect(key.object?["alg"]?.string != nil)
            }
            for record in store.records {
                let plain = try MasterKeys([Secret([UInt8](repeating: 1, count: 32))]).open(
                    record.sealedPrivateKey, for: .signingKeys, context: "signing_keys/\(record.id)"
                ).exposed
                #expect(!contains(record.sealedPrivateKey, plain.suffix(16)))
                #expect(!record.publicJWK.contains(Base64URL.encode(plain)))
            }
        }
    }

    private func contains(_ bytes: [UInt8], _ part: ArraySlice<UInt8>) -> Bool {
        (0...max(0, bytes.count - part.count)).contains { bytes[$0...].starts(with: part) }
    }
}
