internal import AuthCore
internal import TokenVerification

/// What one reader of the event stream is told next: a value that is asked again and again, with the time.
///
/// In each answer keys come first, then routes, then entries, then a heartbeat: whoever reads in order knows a key before it is told that
/// it is up to date.
struct EventCursor: Sendable {
    /// What the reader may have, asked again each second.
    struct Permission: Sendable, Equatable {
        var isGateway: Bool
    }

    private enum Phase: Sendable {
        case beginning
        case snapshot(Revocations.Iterator, RevocationPosition)
        case following(RevocationPosition)
    }

    /// Entries of one part.
    static let entriesMax = 256
    /// A stream ends after this time, and its reader comes back: what is said of time by `elapsed_ms` rests on two clocks that run alike.
    static let lifetime = Duration.seconds(900)
    /// Between two heartbeats; they ride on the follower's ticks.
    static let heartbeatGap = Duration.milliseconds(400)
    static let permissionGap = Duration.seconds(1)
    /// How long a position is waited for that another node has told of.
    static let aheadTime = Duration.seconds(2)

    private let feed: EventFeed
    private let openedAt: Uptime
    private let permission: @Sendable () -> Permission?
    private var allowed: Permission
    private var checkedAt: Uptime
    private var heartbeatAt: Uptime?
    private var phase: Phase
    private var isResumed: Bool
    private var hasBegun = false
    private var keysNumber = 0
    private var routesNumber = 0

    /// - Parameters:
    ///   - lastEventID: What the reader sent; it may be no position at all.
    ///   - permission: Nothing when the reader may have nothing any more.
    init(
        _ feed: EventFeed, lastEventID: String?, at uptime: Uptime, _ allowed: Permission, permission: @escaping @Sendable () -> Permission?
    ) {
        self.feed = feed
        openedAt = uptime
        checkedAt = uptime
        self.allowed = allowed
        self.permission = permission
        isResumed = lastEventID != nil
        phase = lastEventID.flatMap { RevocationPosition($0) }.map { .following($0) } ?? .beginning
    }

    /// - Returns: The next events; empty when there are none now; nothing when the stream is over.
    mutating func next(_ uptime: Uptime) -> [UInt8]? {
        if uptime - openedAt >= EventCursor.lifetime { return nil }
        if uptime - checkedAt >= EventCursor.permissionGap {
            guard let permission = permission() else { return nil }
            (allowed, checkedAt) = (permission, uptime)
        }
        var bytes: [UInt8] = []
        if allowed.isGateway { addDocuments(&bytes) }
        switch phase {
        case .beginning: begin(&bytes)
        case .snapshot(let entries, let position): add(entries, position, &bytes)
        case .following(let place): if !follow(place, uptime, &bytes) { return nil }
        }
        return bytes
    }

    private mutating func addDocuments(_ bytes: inout [UInt8]) {
        let (keys, routes) = (feed.keys, feed.routes)
        if keys.number != keysNumber {
            keysNumber = keys.number
            bytes += EventText.event("keys", data: keys.data)
        }
        if routes.number != routesNumber {
            routesNumber = routes.number
            bytes += EventText.event("routes", data: routes.data)
        }
    }

    private mutating func begin(_ bytes: inout [UInt8]) {
        // Nothing is known before the first reading of the log: the next tick asks again.
        guard let (revocations, position) = feed.replica.snapshot else { return }
        if isResumed { bytes += EventText.reset }
        isResumed = true
        hasBegun = true
        add(revocations.makeIterator(), position, &bytes)
    }

    private mutating func add(_ entries: Revocations.Iterator, _ position: RevocationPosition, _ bytes: inout [UInt8]) {
        var (entries, part) = (entries, [RevocationEntry]())
        while part.count < EventCursor.entriesMax, let entry = entries.next() { part.append(entry) }
        let isComplete = part.count < EventCursor.entriesMax
        bytes += EventText.snapshot(part, completeAt: isComplete ? position : nil)
        phase = isComplete ? .following(position) : .snapshot(entries, position)
    }

    /// - Returns: False when the reader was too slow: what it has not been told is not held any more.
    private mutating func follow(_ place: RevocationPosition, _ uptime: Uptime, _ bytes: inout [UInt8]) -> Bool {
        switch feed.look(after: place, countMax: EventCursor.entriesMax) {
        case .events(let events, let through, let isAll):
            bytes += events
            hasBegun = true
            phase = .following(through)
            if isAll { beat(through, uptime, &bytes) }
        case .ahead:
            if uptime - openedAt >= EventCursor.aheadTime { begin(&bytes) }
        case .otherEpoch: begin(&bytes)
        case .lost:
            // A reader that has just come may have been away for long; one that was here before was too slow.
            if hasBegun { return false }
            begin(&bytes)
        }
        return true
    }

    private mutating func beat(_ place: RevocationPosition, _ uptime: Uptime, _ bytes: inout [UInt8]) {
        if let heartbeatAt, uptime - heartbeatAt < EventCursor.heartbeatGap { return }
        // What was appended since is told first.
        guard let (position, since) = feed.confirmed(at: uptime), position == place else { return }
        heartbeatAt = uptime
        bytes += EventText.heartbeat(place, age: uptime - since, elapsed: uptime - openedAt)
    }
}
