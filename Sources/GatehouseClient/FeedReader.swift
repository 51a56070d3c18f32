package import AuthCore
package import TokenVerification

/// What is made of one connection's events: the replica follows them, and keys and routes are handed on. A value, told the time.
package struct FeedReader: Sendable {
    /// Where keys and routes go. Each returns false when what came cannot be used: then the stream is given up.
    package struct Hooks: Sendable {
        package var keys: @Sendable (KeySet, _ issuer: String) -> Bool
        package var routes: @Sendable (JSONValue) -> Bool

        package init(
            keys: @escaping @Sendable (KeySet, _ issuer: String) -> Bool, routes: @escaping @Sendable (JSONValue) -> Bool = { _ in true }
        ) {
            self.keys = keys
            self.routes = routes
        }
    }

    package enum Fault: Error, Equatable {
        case malformed(String)
        /// An entry or a heartbeat before there was a whole snapshot, or of another epoch.
        case outOfOrder
        /// More entries than the replica holds.
        case tooMany
        /// A key set with a secret in it, of no known form, or of another issuer.
        case unusableKeys
        case unusableRoutes
    }

    private let replica: RevocationReplica
    private let hooks: Hooks
    /// Just before the request was sent.
    private let requestedAt: Uptime
    private let entriesMax: Int
    /// An entry has come that cannot be enforced: nothing is confirmed before a snapshot without one.
    private var cannotJudge = false

    package init(
        _ replica: RevocationReplica, requestedAt: Uptime, hooks: Hooks, entriesMax: Int = RevocationReplica.entriesMaxDefault
    ) {
        self.replica = replica
        self.requestedAt = requestedAt
        self.hooks = hooks
        self.entriesMax = entriesMax
    }

    /// - Parameter uptime: Now.
    /// - Returns: Whether the replica was confirmed.
    package mutating func receive(_ event: ServerSentEvent, at uptime: Uptime) throws(Fault) -> Bool {
        let message: FeedMessage
        do throws(FeedMessage.Malformed) { message = try FeedMessage(event) } catch { throw .malformed(error.event) }
        switch message {
        case .snapshot(let entries, let position):
            cannotJudge = cannotJudge || entries.hasUnknownKind
            guard replica.current.count + entries.known.count <= entriesMax else { throw .tooMany }
            replica.enforce(entries.known)
            if let position, !replica.replace([], through: position, sentAt: nil) { throw .outOfOrder }
        case .revoke(let entries, let position):
            cannotJudge = cannotJudge || entries.hasUnknownKind
            // In force whatever is said of its place.
            replica.enforce(entries.known)
            guard replica.apply([], through: position, sentAt: nil) else { throw .outOfOrder }
        case .heartbeat(let position, let age, let elapsed): return try confirm(position, age, elapsed, uptime)
        case .reset:
            cannotJudge = false
            replica.forgetPosition()
        case .keys(let object):
            // Whatever is wrong with them, they are not taken.
            guard let keys = try? KeySet(jwks: object), let issuer = object["issuer"]?.string, hooks.keys(keys, issuer) else {
                throw .unusableKeys
            }
        case .routes(let value): if !hooks.routes(value) { throw .unusableRoutes }
        case .unknown: break
        }
        return false
    }

    private func confirm(
        _ position: RevocationPosition, _ age: Duration, _ elapsed: Duration, _ uptime: Uptime
    ) throws(Fault) -> Bool {
        guard replica.apply([], through: position, sentAt: nil) else { throw .outOfOrder }
        // The request had been sent when the other side began to count: so this moment is never later than the true one.
        let moment = Int64(clamping: requestedAt.nanoseconds) / 1_000_000 + elapsed.wholeMilliseconds - age.wholeMilliseconds
        guard !cannotJudge, moment >= 0 else { return false }
        replica.confirm(sentAt: min(Uptime(nanoseconds: UInt64(moment) * 1_000_000), uptime))
        return true
    }
}
