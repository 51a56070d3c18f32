package import AuthCore
internal import Store
internal import Synchronization

/// Throttling of guesses at the secrets of clients (RFC 6749 §2.3.1, §10.10): by client and address together, and by address over all
/// clients, with the rule that sign-in has for passwords.
///
/// Whoever guesses from elsewhere keeps nobody out: only the address that guesses waits, and an address over all clients never holds up a
/// client that has proved itself from there. The same wrong secret again is no further guess, so that one instance with an old secret does
/// not stop the others behind its address.
///
/// Counted in memory, by each node for itself: a success must write nothing, and a client of a service proves itself with each request. What
/// a restart or another node adds is nothing against the 128 bits of a secret. Tries are counted when they have failed, and the limit is
/// asked again right before the comparison, without waiting in between: of any number at once no more are evaluated past the limit than
/// there are threads.
package final class ClientGuesses: Sendable {
    private let pairs: MemoryThrottle
    private let addresses: MemoryThrottle
    private let known = KnownPairs()
    private let log: Log

    /// - Parameters:
    ///   - freeAttempts: Of one client from one address; an address over all clients has ten times as many. Both are counted for an hour.
    ///   - delay: The first wait; it doubles with each failure.
    ///   - entriesMax: Of each of the two tables.
    package init(
        freeAttempts: Int = 5, delay: Duration = .seconds(1), delayMax: Duration = .seconds(900), entriesMax: Int = 65_536,
        log: Log = .silent
    ) {
        func table(_ times: Int) -> MemoryThrottle {
            let rule = LockoutRule(
                freeAttempts: Int64(clamping: max(1, freeAttempts)) * Int64(times), delay: delay, delayMax: delayMax,
                window: .seconds(3_600))
            return MemoryThrottle(rule, entriesMax: entriesMax)
        }
        (pairs, addresses, self.log) = (table(1), table(10), log)
    }

    /// Failures that could not be counted, for want of room.
    package var uncounted: Int64 { pairs.uncounted + addresses.uncounted }

    /// How long a secret of this client that comes from there must wait before it is looked at; nothing when it may be.
    package func wait(_ client: Identifier, from address: PeerAddress, at now: Instant) -> Duration? {
        if let wait = pairs.wait(MemoryThrottle.Key(client, from: address), at: now) { return wait }
        guard let wait = addresses.wait(MemoryThrottle.Key(from: address), at: now) else { return nil }
        return known.contains(MemoryThrottle.Key(client, from: address)) ? nil : wait
    }

    /// The secret was right.
    package func right(_ client: Identifier, from address: PeerAddress) {
        let pair = MemoryThrottle.Key(client, from: address)
        known.insert(pair)
        pairs.succeeded(pair)
    }

    /// The secret was wrong, or there is no such client.
    ///
    /// - Parameter secret: What was sent; nothing when it was a signature with it, which is another one each time.
    /// - Returns: The wait that is in force already, because others guessed at the same time: then nothing may be said of this one.
    package func wrong(_ client: Identifier, _ secret: Secret<String>?, from address: PeerAddress, at now: Instant) -> Duration? {
        let pair = MemoryThrottle.Key(client, from: address)
        switch pairs.failed(pair, seen: secret.map(ClientGuesses.digest), at: now) {
        case .limited(let wait): return wait
        case .repeated: return nil
        case .counted(let limit?): tell(client, address, limit)
        case .counted(nil), .uncounted: break
        }
        switch addresses.failed(MemoryThrottle.Key(from: address), at: now) {
        case .limited(let wait): return known.contains(pair) ? nil : wait
        case .counted(let limit?): tell(nil, address, limit)
        case .counted(nil), .uncounted, .repeated: break
        }
        return nil
    }

    /// Keyed, and of this process alone: it says nothing of a secret that was almost right.
    private static func digest(_ secret: Secret<String>) -> UInt64 {
        var (hasher, text) = (Hasher(), secret.exposed)
        text.withUTF8 { hasher.combine(bytes: UnsafeRawBufferPointer($0)) }
        return UInt64(truncatingIfNeeded: hasher.finalize())
    }

    /// As often as a wait begins, and so the more seldom the longer somebody goes on.
    private func tell(_ client: Identifier?, _ address: PeerAddress, _ wait: Duration) {
        log(
            .warning, "client_guesses_limited",
            [
                ("client", client.map { String($0.text.prefix(255)) } ?? ""), ("source", address.description),
                ("seconds", String(max(1, wait.wholeSeconds))),
            ])
    }
}

/// Which clients have proved themselves from which addresses, since the start: a bit each, which is read without a lock and written once.
///
/// Two may share a bit. Then one that has proved nothing is not held up by its address; its own count goes on all the same.
private final class KnownPairs: Sendable {
    private final class Word: Sendable {
        let bits = Atomic<UInt64>(0)
    }

    private static let wordCount = 4_096
    private let words = (0..<wordCount).map { _ in Word() }

    func contains(_ key: MemoryThrottle.Key) -> Bool {
        let (word, bit) = place(key)
        return word.bits.load(ordering: .relaxed) & bit != 0
    }

    func insert(_ key: MemoryThrottle.Key) {
        let (word, bit) = place(key)
        if word.bits.load(ordering: .relaxed) & bit == 0 { word.bits.bitwiseOr(bit, ordering: .relaxed) }
    }

    private func place(_ key: MemoryThrottle.Key) -> (Word, UInt64) {
        let value = key.spread
        return (words[Int(truncatingIfNeeded: (value >> 6) % UInt64(KnownPairs.wordCount))], 1 << (value & 63))
    }
}
