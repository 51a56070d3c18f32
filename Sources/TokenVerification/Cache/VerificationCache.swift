public import AuthCore
internal import Synchronization

/// Remembers which tokens were verified, under the SHA-256 of all their bytes: the verification, never the verdict.
///
/// Expiry, revocation and requirements are for whoever asks to check on each use (JW-23). An entry is good only as long as
/// the very key that verified it is in the key set given, so it cannot outlive the key even for one call.
///
/// Bounded in bytes. An entry counts `entryBytes` + twice the length of its token: the object with its strings, the payload,
/// and its places in the tables. Measured for a token of 641 bytes: 1 614 bytes of heap, counted as 2 050.
///
/// Past the bound it evicts by second chance: what was used since the hand last came by stays once more. Split into shards
/// with a lock each, so that the threads of a server do not wait for one another.
public final class VerificationCache: Sendable {
    /// What an entry costs besides what grows with its token.
    public static let entryBytes = 768
    private static let shardCount = 8

    private final class Shard: Sendable {
        let state = Mutex(ShardState())
    }

    public let bytesMax: Int
    private let shards: [Shard]

    /// - Parameter bytesMax: Of all entries together; 0 remembers nothing.
    public init(bytesMax: Int) {
        self.bytesMax = max(0, bytesMax)
        self.shards = (0..<VerificationCache.shardCount).map { _ in Shard() }
    }

    /// What an entry for a token of this length counts.
    public static func bytes(forTokenOf length: Int) -> Int { entryBytes + 2 * length }

    /// The bytes counted now; never above `bytesMax`.
    public var bytes: Int { shards.reduce(0) { $0 + $1.state.withLock { $0.bytes } } }

    public var count: Int { shards.reduce(0) { $0 + $1.state.withLock { $0.index.count } } }

    /// The token with this digest, if it was verified by a key that is still in `keys`.
    public func token(for digest: TokenHash, under keys: KeySet) -> AccessToken? {
        let token = shard(digest).state.withLock { $0.use(digest) }
        guard let token, keys.holds(token.keyID, fingerprint: token.keyFingerprint) else { return nil }
        return token
    }

    /// Remembers `token`, which has just been verified.
    public func insert(_ token: AccessToken, for digest: TokenHash, tokenBytes: Int) {
        let bytes = VerificationCache.bytes(forTokenOf: tokenBytes)
        let shardBytesMax = bytesMax / VerificationCache.shardCount
        guard bytes <= shardBytesMax else { return }
        shard(digest).state.withLock { $0.insert(token, digest, bytes: bytes, bytesMax: shardBytesMax) }
    }

    /// Forgets what this key verified. Looks at every entry: for rotation and emergencies.
    public func remove(keyID: Identifier) { removeAll { $0.keyID == keyID } }

    /// Forgets what was verified by a key that is not in `keys`.
    public func removeAll(notUnder keys: KeySet) { removeAll { !keys.holds($0.keyID, fingerprint: $0.keyFingerprint) } }

    private func removeAll(where isGone: (AccessToken) -> Bool) {
        for shard in shards { shard.state.withLock { $0.removeAll(where: isGone) } }
    }

    // The dictionaries take the first word of the digest; the shard takes another, so they do not fill unevenly.
    private func shard(_ digest: TokenHash) -> Shard { shards[Int(truncatingIfNeeded: digest.words.3 & 7)] }
}

/// One shard: a table from digest to slot, and the slots that the clock hand goes round.
private struct ShardState {
    private(set) var index: [TokenHash: Int] = [:]
    private(set) var bytes = 0
    private var tokens: [AccessToken?] = []
    private var digests: [TokenHash] = []
    private var sizes: [Int] = []
    private var wasUsed: [Bool] = []
    private var free: [Int] = []
    private var hand = 0

    mutating func use(_ digest: TokenHash) -> AccessToken? {
        guard let slot = index[digest] else { return nil }
        wasUsed[slot] = true
        return tokens[slot]
    }

    mutating func insert(_ token: AccessToken, _ digest: TokenHash, bytes size: Int, bytesMax: Int) {
        // Two threads may have verified the same token at once, or its key came back.
        if let slot = index[digest] { remove(slot) }
        while bytes + size > bytesMax { advanceHand() }
        bytes += size
        if let slot = free.popLast() {
            tokens[slot] = token
            digests[slot] = digest
            sizes[slot] = size
            wasUsed[slot] = false
            index[digest] = slot
        } else {
            index[digest] = tokens.count
            tokens.append(token)
            digests.append(digest)
            sizes.append(size)
            wasUsed.append(false)
        }
    }

    mutating func removeAll(where isGone: (AccessToken) -> Bool) {
        for slot in tokens.indices {
            if let token = tokens[slot], isGone(token) { remove(slot) }
        }
    }

    /// One step of the clock. Ends for whoever calls it in a loop: after one round nothing has its second chance left.
    private mutating func advanceHand() {
        if hand >= tokens.count { hand = 0 }
        if tokens[hand] != nil {
            if wasUsed[hand] { wasUsed[hand] = false } else { remove(hand) }
        }
        hand += 1
    }

    private mutating func remove(_ slot: Int) {
        tokens[slot] = nil
        index[digests[slot]] = nil
        bytes -= sizes[slot]
        free.append(slot)
    }
}
