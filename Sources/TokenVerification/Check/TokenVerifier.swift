public import AuthCore
internal import Synchronization

// TokenVerification owns one question: is this token good? JWS and JWK, the claims of an access token, the key set, the
// memory of what has been verified, the revocations, and the ordered checks that join them. It does no I/O, asks no clock
// and starts no task: keys, revocations and times are given to it. It does not own how keys are made or fetched, how
// revocations travel, what a route requires, or what an HTTP answer looks like.

/// Decides whether an access token is good, here and now, for a requirement (RFC 9068 §4).
///
/// Everything that serves tokens is a shell around `decide`: `/validate`, forward-auth, the proxy, the library. It is
/// synchronous and works on snapshots; the shells give it keys (`setKeys`) and revocations (`revocations`).
public final class TokenVerifier: Sendable {
    public let rules: TokenRules
    public let revocations: RevocationReplica
    /// The oldest that the last confirmed catch-up may be.
    public let maxStaleness: Duration
    /// Whether a key that is not in the set is a question to the shell rather than a refusal: for verifiers that fetch
    /// their keys, not for one that is told of each change.
    public let asksForUnknownKeys: Bool

    private let keySet = Mutex(KeySet.empty)
    private let cache: VerificationCache
    private let headers = HeaderMemo()

    /// - Parameters:
    ///   - cacheBytesMax: See `VerificationCache`; 0 for no cache.
    ///   - maxStaleness: Above zero.
    public init(rules: TokenRules, cacheBytesMax: Int, maxStaleness: Duration, asksForUnknownKeys: Bool = false) {
        self.rules = rules
        self.maxStaleness = maxStaleness
        self.asksForUnknownKeys = asksForUnknownKeys
        self.revocations = RevocationReplica()
        self.cache = VerificationCache(bytesMax: cacheBytesMax)
    }

    /// The keys in force.
    public var keys: KeySet { keySet.withLock { $0 } }

    /// What is remembered, in the cache's own count of bytes.
    public var cacheBytes: Int { cache.bytes }

    /// Puts another key set in force. What a key verified that is not in it is forgotten, and refused from this call on.
    public func setKeys(_ keys: KeySet) {
        keySet.withLock { $0 = keys }
        cache.removeAll(notUnder: keys)
    }

    /// Decides on one token.
    ///
    /// For a token that has been verified before, this allocates once, inside SHA-256. With an explanation wanted, the cache is left
    /// aside, so that every check is made and shown.
    ///
    /// - Parameters:
    ///   - token: The token alone, without a scheme.
    ///   - now: The wall clock, for `exp`, `nbf`, `iat` and `auth_time`.
    ///   - uptime: The clock of the replica's age.
    ///   - explaining: Set to an empty explanation to have each check recorded.
    public func decide(
        _ token: UnsafeBufferPointer<UInt8>, for requirements: TokenRequirements, now: Instant, uptime: Uptime, whenStale: StalePolicy,
        explaining: inout TokenExplanation?
    ) -> TokenDecision {
        let keys = self.keys
        var digest: TokenHash?
        if explaining == nil, token.count <= CompactJWS.bytesMax {
            let hash = TokenHash(of: UnsafeRawBufferPointer(token))
            if let known = cache.token(for: hash, under: keys) {
                return judge(known, requirements, Moment(now: now, uptime: uptime, whenStale: whenStale), &explaining)
            }
            digest = hash
        }
        let verified: AccessToken
        switch VerificationCheck(keys: keys, rules: rules, memo: headers).verify(token, explaining: &explaining) {
        case .verified(let accessToken): verified = accessToken
        case .refused(let reason): return .refuse(reason)
        case .unknownKey(let id):
            if let id, asksForUnknownKeys { return .ask(.unknownKey(id)) }
            return .refuse(.unknownKey)
        }
        if let digest, now < verified.expiresAt + rules.leeway {
            cache.insert(verified, for: digest, tokenBytes: token.count)
            // Housekeeping rides on the slow path, so nobody can forget it.
            revocations.prune(now: now, uptime: uptime, stepsMax: 4)
        }
        return judge(verified, requirements, Moment(now: now, uptime: uptime, whenStale: whenStale), &explaining)
    }

    /// The same for a token in an array.
    public func decide(
        _ token: [UInt8], for requirements: TokenRequirements, now: Instant, uptime: Uptime, whenStale: StalePolicy,
        explaining: inout TokenExplanation?
    ) -> TokenDecision {
        token.withUnsafeBufferPointer {
            decide($0, for: requirements, now: now, uptime: uptime, whenStale: whenStale, explaining: &explaining)
        }
    }

    /// The same for a token in any other collection.
    public func decide(
        _ token: some Collection<UInt8>, for requirements: TokenRequirements, now: Instant, uptime: Uptime, whenStale: StalePolicy,
        explaining: inout TokenExplanation?
    ) -> TokenDecision {
        let decision = token.withContiguousStorageIfAvailable {
            decide($0, for: requirements, now: now, uptime: uptime, whenStale: whenStale, explaining: &explaining)
        }
        if let decision { return decision }
        // Longer than this is refused, whatever follows.
        return Array(token.prefix(CompactJWS.bytesMax + 1)).withUnsafeBufferPointer {
            decide($0, for: requirements, now: now, uptime: uptime, whenStale: whenStale, explaining: &explaining)
        }
    }

    /// The same for a token that this verifier has accepted: its signature is not looked at again, its key must be in force still.
    package func decide(
        again token: AccessToken, for requirements: TokenRequirements, now: Instant, uptime: Uptime, whenStale: StalePolicy
    ) -> TokenDecision {
        guard keys.holds(token.keyID, fingerprint: token.keyFingerprint) else { return .refuse(.unknownKey) }
        var none: TokenExplanation?
        return judge(token, requirements, Moment(now: now, uptime: uptime, whenStale: whenStale), &none)
    }

    private struct Moment {
        let now: Instant
        let uptime: Uptime
        let whenStale: StalePolicy
    }

    /// The checks of every use (JW-23): nothing of this is remembered.
    private func judge(
        _ token: AccessToken, _ requirements: TokenRequirements, _ moment: Moment, _ explanation: inout TokenExplanation?
    ) -> TokenDecision {
        let now = moment.now
        let start = max(token.issuedAt, token.notBefore ?? token.issuedAt)
        guard
            explanation.check(
                "not_before", now + rules.leeway >= start, expected: "at or before \(now.seconds) + \(rules.leeway.wholeSeconds)",
                found: "\(start.seconds)")
        else { return .refuse(.notYetValid) }
        guard
            explanation.check(
                "expiry", now < token.expiresAt + rules.leeway, expected: "after \(now.seconds) − \(rules.leeway.wholeSeconds)",
                found: "\(token.expiresAt.seconds)")
        else { return .refuse(.expired) }
        let (revoked, age) = revocations.look(at: moment.uptime) { (revocations, confirmedAt) in
            (revocations.entry(against: token), confirmedAt.map { moment.uptime - $0 })
        }
        guard
            explanation.check(
                "revocation", revoked == nil, expected: "no entry", found: revoked.map { "\($0.kind.rawValue) \($0.id)" } ?? "no entry")
        else { return .refuse(.revoked) }
        let isFresh = age.map { $0 <= maxStaleness } ?? false
        guard
            explanation.check(
                "freshness", isFresh || moment.whenStale == .serve, expected: "caught up within \(maxStaleness.wholeMilliseconds) ms",
                found: age.map { "\($0.wholeMilliseconds) ms ago" } ?? "never caught up")
        else { return moment.whenStale == .ask ? .ask(.staleRevocations) : .unavailable }
        let check = RequirementCheck(token: token, requirements: requirements, now: now, uptime: moment.uptime, leeway: rules.leeway)
        return switch check.obstacle(&explanation) {
        case nil: .accept(token)
        case .refused(let refusal): .refuse(refusal)
        case .overloaded: .overloaded
        }
    }
}
