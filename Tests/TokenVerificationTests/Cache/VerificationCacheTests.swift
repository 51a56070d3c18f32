import AuthCore
import Testing
import TokenVerification

@Suite("The verification cache (JW-23, CVE-2026-33496)")
struct VerificationCacheTests {
    private func tokens(_ count: Int, under key: TestKey) throws -> [(digest: TokenHash, token: AccessToken, bytes: Int)] {
        let presented = try Presented(key)
        let verifier = try presented.verifier()
        return try (0..<count).map { number in
            var one = presented
            one.claims["jti"] = .string("t\(number)")
            let bytes = try one.token()
            var none: TokenExplanation?
            let decision = verifier.decide(
                bytes, for: one.requirements, now: Instant(seconds: Presented.now), uptime: .zero, whenStale: .refuse, explaining: &none)
            return (TokenHash(of: bytes), try #require(decision.accepted), bytes.count)
        }
    }

    @Test("a token is found by all its bytes, under the key that verified it")
    func found() throws {
        let key = try TestKey.es256()
        let (digest, token, bytes) = try #require(try tokens(1, under: key).first)
        let cache = VerificationCache(bytesMax: 100_000)
        let keys = try KeySet(keys: [key.verification])
        #expect(cache.token(for: digest, under: keys) == nil)
        cache.insert(token, for: digest, tokenBytes: bytes)
        #expect(cache.token(for: digest, under: keys) === token)
        #expect(cache.token(for: TokenHash(of: [1]), under: keys) == nil)
        #expect(cache.bytes == VerificationCache.bytes(forTokenOf: bytes))
        #expect(cache.count == 1)
    }

    @Test("an entry is of no use without its key, nor under another key of the same kid, nor under another algorithm")
    func keyGone() throws {
        let key = try TestKey.rs256("k")
        let (digest, token, bytes) = try #require(try tokens(1, under: key).first)
        let cache = VerificationCache(bytesMax: 100_000)
        cache.insert(token, for: digest, tokenBytes: bytes)
        let sameKeyReadAnew = try VerificationKey(jwk: key.verification.publicJWK)
        #expect(cache.token(for: digest, under: try KeySet(keys: [sameKeyReadAnew])) === token)
        #expect(cache.token(for: digest, under: .empty) == nil)
        #expect(cache.token(for: digest, under: try KeySet(keys: [try TestKey.es256("k").verification])) == nil)
        #expect(cache.token(for: digest, under: try KeySet(keys: [try TestKey.ps256("k").verification])) == nil)
    }

    @Test("removing a key removes what it verified, and only that")
    func removal() throws {
        let first = try TestKey.es256("k1")
        let second = try TestKey.edDSA("other")
        let cache = VerificationCache(bytesMax: 1_000_000)
        let ofFirst = try tokens(5, under: first)
        let ofSecond = try tokens(7, under: second)
        for (digest, token, bytes) in ofFirst + ofSecond { cache.insert(token, for: digest, tokenBytes: bytes) }
        #expect(cache.count == 12)
        cache.remove(keyID: "k1")
        #expect(cache.count == 7)
        let keys = try KeySet(keys: [first.verification, second.verification])
        #expect(ofFirst.allSatisfy { cache.token(for: $0.digest, under: keys) == nil })
        #expect(ofSecond.allSatisfy { cache.token(for: $0.digest, under: keys) != nil })
        cache.removeAll(notUnder: try KeySet(keys: [first.verification]))
        #expect(cache.count == 0)
        #expect(cache.bytes == 0)
        // The places that were freed are used again.
        for (digest, token, bytes) in ofFirst { cache.insert(token, for: digest, tokenBytes: bytes) }
        #expect(cache.count == 5)
    }

    @Test("the bound in bytes holds at every moment, whatever the sizes", arguments: [0, 5_000, 50_000, 300_000])
    func bound(_ bytesMax: Int) throws {
        let key = try TestKey.es256()
        let (_, token, _) = try #require(try tokens(1, under: key).first)
        let cache = VerificationCache(bytesMax: bytesMax)
        var random = Seeded(42)
        for number in 0..<4_000 {
            let digest = TokenHash(of: Array("\(number % 1_500)".utf8))
            cache.insert(token, for: digest, tokenBytes: Int.random(in: 100...16_384, using: &random))
            _ = cache.token(for: TokenHash(of: Array("\(Int.random(in: 0..<1_500, using: &random))".utf8)), under: .empty)
            if number % 50 == 0 { #expect(cache.bytes <= bytesMax) }
        }
        #expect(cache.bytes <= bytesMax)
        #expect((cache.count > 0) == (bytesMax > 5_000))
    }

    @Test("what is used survives what is not: second chance")
    func secondChance() throws {
        let key = try TestKey.es256()
        let (_, token, _) = try #require(try tokens(1, under: key).first)
        let keys = try KeySet(keys: [key.verification])
        let cache = VerificationCache(bytesMax: 8 * 20 * VerificationCache.bytes(forTokenOf: 500))
        let favourite = TokenHash(of: Array("favourite".utf8))
        cache.insert(token, for: favourite, tokenBytes: 500)
        for number in 0..<5_000 {
            #expect(cache.token(for: favourite, under: keys) != nil, "\(number)")
            cache.insert(token, for: TokenHash(of: Array("\(number)".utf8)), tokenBytes: 500)
        }
        #expect(cache.token(for: TokenHash(of: Array("0".utf8)), under: keys) == nil)
    }

    @Test("R-6: a million distinct tokens leave the bound as it is")
    func million() throws {
        let key = try TestKey.es256()
        let (_, token, _) = try #require(try tokens(1, under: key).first)
        let cache = VerificationCache(bytesMax: 1_000_000)
        var largest = 0
        // A tenth of a million: the debug build is slow, and the bound does not depend on the count.
        for number in 0..<100_000 {
            cache.insert(token, for: TokenHash(of: withUnsafeBytes(of: number) { Array($0) }), tokenBytes: 600)
            if number % 1_000 == 0 { largest = max(largest, cache.bytes) }
        }
        #expect(largest <= 1_000_000)
        #expect(cache.bytes > 900_000)
    }
}

@Suite("What is remembered is the verification, never the verdict (JW-23)")
struct VerifierCacheTests {
    @Test("expiry, revocation, audience, scope and keys are checked on every use")
    func everyUse() throws {
        let presented = try Presented()
        let verifier = try presented.verifier()
        let token = try presented.token()
        #expect(verifier.outcome(token, presented.requirements) == "accept")
        #expect(verifier.cacheBytes > 0)
        #expect(verifier.outcome(token, TokenRequirements(audience: .anyOf(["billing"]))) == "wrong_audience")
        #expect(verifier.outcome(token, TokenRequirements(scope: ScopeSet(["b"]))) == "insufficient_scope")
        #expect(verifier.outcome(token, presented.requirements, at: Instant(seconds: Presented.now + 660)) == "expired")
        #expect(verifier.outcome(token, presented.requirements, at: Instant(seconds: Presented.now - 71)) == "not_yet_valid")
        #expect(verifier.outcome(token, presented.requirements) == "accept")
        verifier.revocations.enforce([RevocationEntry(kind: .token, id: "t1", until: Instant(seconds: Presented.now + 700))])
        #expect(verifier.outcome(token, presented.requirements) == "revoked")
    }

    @Test("JK-04: a key that goes takes its tokens with it at once, and a key that comes back must verify anew")
    func keyRemoval() throws {
        let presented = try Presented()
        let verifier = try presented.verifier()
        let token = try presented.token()
        #expect(verifier.outcome(token, presented.requirements) == "accept")
        verifier.setKeys(try KeySet(keys: [presented.keys[1].verification]))
        #expect(verifier.cacheBytes == 0)
        #expect(verifier.outcome(token, presented.requirements) == "unknown_key")
        verifier.setKeys(try KeySet(keys: [try TestKey.es256("k1", seed: 55).verification]))
        #expect(verifier.outcome(token, presented.requirements) == "bad_signature")
        verifier.setKeys(try KeySet(keys: [presented.key.verification]))
        #expect(verifier.outcome(token, presented.requirements) == "accept")
    }

    @Test("a set that is published anew with the same key forgets nothing")
    func sameKey() throws {
        let presented = try Presented()
        let verifier = try presented.verifier()
        let token = try presented.token()
        #expect(verifier.outcome(token, presented.requirements) == "accept")
        let bytes = verifier.cacheBytes
        verifier.setKeys(try KeySet(keys: [try VerificationKey(jwk: presented.key.verification.publicJWK)]))
        #expect(verifier.cacheBytes == bytes)
    }

    @Test("nothing that was not verified, or has expired, is remembered")
    func notRemembered() throws {
        var presented = try Presented()
        let verifier = try presented.verifier()
        presented.isSignatureBroken = true
        #expect(verifier.outcome(try presented.token(), presented.requirements) == "bad_signature")
        presented = try Presented()
        presented.claims["exp"] = .integer(Presented.now - 1_000)
        #expect(verifier.outcome(try presented.token(), presented.requirements) == "expired")
        presented = try Presented()
        presented.claims["iss"] = "https://other.example"
        #expect(verifier.outcome(try presented.token(), presented.requirements) == "wrong_issuer")
        #expect(verifier.cacheBytes == 0)
    }

    @Test("a verifier that fetches its keys asks for one that it does not have; without a kid there is nothing to ask for")
    func unknownKey() throws {
        var presented = try Presented()
        let rules = TokenRules(issuer: Presented.issuer)
        let verifier = TokenVerifier(rules: rules, cacheBytesMax: 0, maxStaleness: .seconds(30), asksForUnknownKeys: true)
        #expect(verifier.outcome(try presented.token(), presented.requirements) == "ask k1")
        presented.header["kid"] = nil
        #expect(verifier.outcome(try presented.token(), presented.requirements) == "unknown_key")
    }

    @Test("deciding while keys and revocations change gives one of the two right answers, never another")
    func concurrent() async throws {
        let presented = try Presented()
        let verifier = try presented.verifier()
        let token = try presented.token()
        let with = verifier.keys
        let requirements = presented.requirements
        let seen = await withTaskGroup(of: Set<String>.self) { group in
            group.addTask {
                for _ in 0..<300 {
                    verifier.setKeys(.empty)
                    verifier.setKeys(with)
                }
                return []
            }
            for _ in 0..<3 {
                group.addTask { Set((0..<300).map { _ in verifier.outcome(token, requirements) }) }
            }
            return await group.reduce(into: Set()) { $0.formUnion($1) }
        }
        #expect(seen.isSubset(of: ["accept", "unknown_key"]))
        #expect(!seen.isEmpty)
        #expect(verifier.outcome(token, requirements) == "accept")
    }
}
