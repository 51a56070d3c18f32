internal import AuthCore
internal import HashTreeCollections

/// What is revoked, as an immutable value; copies share what they have in common.
public struct Revocations: Sendable {
    struct Key: Hashable, Sendable {
        let kind: RevocationKind
        let id: Identifier

        // By the bit of the kind: what the compiler makes of an enum of strings may compare the strings.
        static func == (left: Key, right: Key) -> Bool { left.kind.bit == right.kind.bit && left.id == right.id }

        func hash(into hasher: inout Hasher) {
            hasher.combine(kind.bit)
            hasher.combine(id)
        }
    }

    struct Value: Sendable {
        /// Tokens with a lower one are revoked; `Int64.max` revokes them all.
        var epoch: Int64
        var until: Instant
    }

    private var entries: TreeDictionary<Key, Value> = [:]
    /// A bit for each kind that has ever had an entry, so that the others are not even looked up.
    private var kinds: UInt8 = 0

    public init() {}

    public var count: Int { entries.count }

    /// Everything in force, in no order.
    public var all: [RevocationEntry] { entries.map { Revocations.entry($0.key, $0.value) } }

    /// Goes through everything in force, in no order; it holds this value and copies nothing.
    public struct Iterator: IteratorProtocol, Sendable {
        fileprivate var entries: TreeDictionary<Key, Value>.Iterator

        public mutating func next() -> RevocationEntry? { entries.next().map { Revocations.entry($0.key, $0.value) } }
    }

    public func makeIterator() -> Iterator { Iterator(entries: entries.makeIterator()) }

    /// The entry that revokes `token`; nothing when none does. No entry's `until` is looked at: an entry is in force as
    /// long as it is here.
    public func entry(against token: AccessToken) -> RevocationEntry? {
        if entries.isEmpty { return nil }
        if let id = token.sessionID, let entry = entry(.session, id, above: 0) { return entry }
        if let id = token.grantID, let entry = entry(.grant, id, above: 0) { return entry }
        if let entry = entry(.account, token.subject, above: token.accountEpoch) { return entry }
        if let entry = entry(.client, token.clientID, above: token.clientEpoch) { return entry }
        // What ends a client's tokens ends what it passed on.
        for holder in token.passedOn {
            if let entry = entry(.client, holder.client, above: holder.epoch) { return entry }
        }
        if let entry = entry(.token, token.id, above: 0) { return entry }
        return entry(.key, token.keyID, above: 0)
    }

    private func entry(_ kind: RevocationKind, _ id: Identifier, above epoch: Int64) -> RevocationEntry? {
        guard kinds & kind.bit != 0 else { return nil }
        let key = Key(kind: kind, id: id)
        guard let value = entries[key], value.epoch > epoch else { return nil }
        return Revocations.entry(key, value)
    }

    private static func entry(_ key: Key, _ value: Value) -> RevocationEntry {
        RevocationEntry(kind: key.kind, id: key.id, epoch: value.epoch == .max ? nil : value.epoch, until: value.until)
    }

    /// Adds an entry; of two about the same thing the higher epoch and the later `until` hold, so order does not matter.
    ///
    /// - Returns: The `until` now in force if it was raised or is new, else nothing.
    mutating func add(_ entry: RevocationEntry) -> Instant? {
        let key = Key(kind: entry.kind, id: entry.id)
        let isByEpoch = entry.kind == .account || entry.kind == .client
        let epoch = isByEpoch ? entry.epoch ?? .max : .max
        kinds |= entry.kind.bit
        guard let old = entries[key] else {
            entries[key] = Value(epoch: epoch, until: entry.until)
            return entry.until
        }
        let isLonger = entry.until > old.until
        if isLonger || epoch > old.epoch {
            entries[key] = Value(epoch: max(epoch, old.epoch), until: max(entry.until, old.until))
        }
        return isLonger ? entry.until : nil
    }

    /// Removes the entry under `key` if this is still its `until`.
    mutating func remove(_ key: Key, until: Instant) {
        if let value = entries[key], value.until == until { entries[key] = nil }
    }
}

extension RevocationKind {
    fileprivate var bit: UInt8 {
        switch self {
        case .session: 1
        case .grant: 2
        case .account: 4
        case .client: 8
        case .token: 16
        case .key: 32
        }
    }
}
