package import AuthCore
internal import Store
internal import Synchronization
package import TokenVerification

/// What the readers of `GET /events/revocations` are told: the newest entries of the log, bounded and shared by all of them, and the
/// documents for gateways.
///
/// Nothing is buffered for a reader: each has a place in the log and takes what lies behind it. One that is so slow that its place is no
/// longer held is cut off, and begins anew with a snapshot.
package final class EventFeed: Sendable {
    package struct Limits: Sendable {
        /// The least number of entries that are held for readers that resume; at most twice as many are.
        package var entriesMax = 8_192
        package var readersMax = 512
        package var readersPerClientMax = 64

        package init() {}
    }

    /// A whole document that replaces the one before it.
    struct Document: Sendable {
        /// 0 before the first.
        var number = 0
        var data: [UInt8] = []

        mutating func replace(_ data: [UInt8]) -> Bool {
            if number > 0, data == self.data { return false }
            (number, self.data) = (number + 1, data)
            return true
        }
    }

    private struct State {
        /// Up to where the log is known here.
        var position: RevocationPosition?
        /// Every entry behind this sequence, up to `position`, is in `entries`.
        var begin: Int64 = 0
        var entries: [(sequence: Int64, event: [UInt8])] = []
        var confirmedAt: Uptime?
        var keys = Document()
        var routes = Document()
        var readers: [Int: (client: Identifier, wake: AsyncStream<Void>.Continuation)] = [:]
        var nextReader = 0
    }

    let replica: RevocationReplica
    private let limits: Limits
    private let state = Mutex(State())

    package init(replica: RevocationReplica, limits: Limits = Limits()) {
        self.replica = replica
        self.limits = limits
    }

    package var readerCount: Int { state.withLock { $0.readers.count } }

    // MARK: From whoever reads the log. Called before the replica learns the same, so that no place that the replica has is unknown here.

    /// What the log holds behind `start` and up to `end`, complete.
    package func append(
        _ entries: [RevocationEntry], _ sequences: [Int64], after start: RevocationPosition, through end: RevocationPosition
    ) {
        let isNews = state.withLock { state in
            guard let known = state.position, known.isSameEpoch(as: end), start.sequence <= known.sequence, entries.count == sequences.count
            else {
                EventFeed.restart(&state, at: end)
                return true
            }
            guard end.sequence > known.sequence else { return false }
            for (entry, sequence) in zip(entries, sequences) where sequence > known.sequence {
                let place = RevocationPosition(epoch: end.epoch, sequence: sequence)
                state.entries.append((sequence, EventText.revoke(entry, id: place)))
            }
            state.position = end
            let surplus = state.entries.count - limits.entriesMax
            if surplus > limits.entriesMax {
                state.begin = state.entries[surplus - 1].sequence
                state.entries.removeFirst(surplus)
            }
            return true
        }
        if isNews { wakeReaders() }
    }

    /// The log goes on from `position`, and what lies before it is not held: readers begin with a snapshot.
    package func restart(at position: RevocationPosition) {
        state.withLock { EventFeed.restart(&$0, at: position) }
        wakeReaders()
    }

    private static func restart(_ state: inout State, at position: RevocationPosition) {
        (state.position, state.begin, state.entries) = (position, position.sequence, [])
    }

    /// The log was complete up to the position that is known here.
    ///
    /// - Parameter sentAt: When the question was sent that said so.
    package func confirm(sentAt: Uptime) { state.withLock { $0.confirmedAt = max($0.confirmedAt ?? sentAt, sentAt) } }

    /// Time has passed: readers are due a heartbeat, and perhaps the end.
    package func tick() { wakeReaders() }

    /// The published keys, with the issuer that they are of. Called before anybody can get a token under one of them.
    package func setKeys(_ keys: KeySet, issuer: String) {
        var json = JSONWriter()
        json.object {
            $0.member("issuer", issuer)
            $0.array("keys") { for key in keys.keys { $0.value(.object(key.publicJWK)) } }
        }
        let isNews = state.withLock { $0.keys.replace(json.bytes) }
        if isNews { wakeReaders() }
    }

    /// The routes and the resources that they speak of, as `ResourceJSON` has them.
    package func setRoutes(_ data: JSONValue) {
        let bytes = data.encoded
        let isNews = state.withLock { $0.routes.replace(bytes) }
        if isNews { wakeReaders() }
    }

    // MARK: For readers

    /// A place among the readers, given back when it is let go of.
    final class Reader: Sendable {
        let feed: EventFeed
        let wakes: AsyncStream<Void>
        private let id: Int

        fileprivate init(_ feed: EventFeed, _ id: Int, _ wakes: AsyncStream<Void>) { (self.feed, self.id, self.wakes) = (feed, id, wakes) }

        deinit { feed.leave(id) }
    }

    /// - Returns: Nothing when there are too many readers.
    func join(_ client: Identifier) -> Reader? {
        // However often it is woken before it looks: it takes everything that is there.
        let (wakes, continuation) = AsyncStream<Void>.makeStream(bufferingPolicy: .bufferingNewest(1))
        let id = state.withLock { state -> Int? in
            let own = state.readers.values.count { $0.client == client }
            guard state.readers.count < limits.readersMax, own < limits.readersPerClientMax else { return nil }
            state.nextReader += 1
            state.readers[state.nextReader] = (client, continuation)
            return state.nextReader
        }
        return id.map { Reader(self, $0, wakes) }
    }

    private func leave(_ id: Int) { _ = state.withLock { $0.readers.removeValue(forKey: id) } }

    private func wakeReaders() {
        let readers = state.withLock { Array($0.readers.values) }
        for reader in readers { reader.wake.yield() }
    }

    var keys: Document { state.withLock { $0.keys } }
    var routes: Document { state.withLock { $0.routes } }

    enum Look {
        /// Events behind the place; `isAll` when there are no more.
        case events([UInt8], through: RevocationPosition, isAll: Bool)
        /// No such place is known yet, but it may come: another node has told of it.
        case ahead
        /// Of another epoch.
        case otherEpoch
        /// What lies behind the place is not held any more, or nothing is known at all.
        case lost
    }

    /// What lies behind `place`, at most `countMax` entries.
    func look(after place: RevocationPosition, countMax: Int) -> Look {
        state.withLock { state in
            guard let position = state.position else { return .lost }
            guard position.isSameEpoch(as: place) else { return .otherEpoch }
            if place.sequence > position.sequence { return .ahead }
            if place.sequence < state.begin { return .lost }
            var (low, high) = (0, state.entries.count)
            while low < high {
                let middle = low + (high - low) / 2
                if state.entries[middle].sequence <= place.sequence { low = middle + 1 } else { high = middle }
            }
            let end = min(state.entries.count, low + countMax)
            var bytes: [UInt8] = []
            for index in low..<end { bytes.append(contentsOf: state.entries[index].event) }
            guard end < state.entries.count else { return .events(bytes, through: position, isAll: true) }
            let last = RevocationPosition(epoch: position.epoch, sequence: state.entries[end - 1].sequence)
            return .events(bytes, through: last, isAll: false)
        }
    }

    /// Where the log is known to be complete, and since when; nothing while this node does not know itself.
    func confirmed(at uptime: Uptime) -> (position: RevocationPosition, since: Uptime)? {
        guard let replica = replica.confirmedAt(uptime) else { return nil }
        return state.withLock { state in
            guard let position = state.position, let confirmedAt = state.confirmedAt else { return nil }
            return (position, min(confirmedAt, replica))
        }
    }
}
