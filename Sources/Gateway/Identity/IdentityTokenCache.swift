internal import AuthCore
internal import Synchronization
internal import TokenVerification

/// Remembers identity tokens for half of their life, because a signature costs more than the rest of a decision.
///
/// The key is the verified token *itself*, as an object, with the route: `TokenVerifier` hands out the same object for the
/// same bytes and another for any other, and an entry keeps its object alive, so no key can come to mean another token
/// (GW-17). A token that the verifier has forgotten comes back as another object and is signed for again.
final class IdentityTokenCache: Sendable {
    private struct Key: Hashable {
        let token: ObjectIdentifier
        let route: ObjectIdentifier
    }

    private struct Entry {
        let identity: IdentityToken
        /// Both keep their addresses from being used again.
        let token: AccessToken
        let route: Route
    }

    /// Two generations: when the young one is full it becomes the old one, and what nobody asked for since is gone.
    private struct Entries {
        var young: [Key: Entry] = [:]
        var old: [Key: Entry] = [:]
    }

    /// The most entries, both generations together.
    let countMax: Int
    private let entries = Mutex(Entries())

    init(countMax: Int) { self.countMax = max(2, countMax) }

    var count: Int { entries.withLock { $0.young.count + $0.old.count } }

    /// - Parameter make: Called outside the lock; two callers at once may both make one, and either is good.
    func identity(of token: AccessToken, at route: Route, now: Instant, make: () -> IdentityToken?) -> IdentityToken? {
        let key = Key(token: ObjectIdentifier(token), route: ObjectIdentifier(route))
        let known: IdentityToken? = entries.withLock { entries in
            if let entry = entries.young[key] { return entry.identity }
            guard let entry = entries.old.removeValue(forKey: key) else { return nil }
            add(entry, key, to: &entries)
            return entry.identity
        }
        if let known, known.isReusable(at: now) { return known }
        guard let identity = make() else { return nil }
        entries.withLock { add(Entry(identity: identity, token: token, route: route), key, to: &$0) }
        return identity
    }

    private func add(_ entry: Entry, _ key: Key, to entries: inout Entries) {
        if entries.young.count >= countMax / 2, entries.young[key] == nil {
            entries.old = entries.young
            entries.young = [:]
        }
        entries.old[key] = nil
        entries.young[key] = entry
    }
}
