package import AuthCore
package import Store
internal import Synchronization

/// Tells clients that sessions ended (Back-Channel Logout §2.5): takes what is due from the queue in the store and posts it, at least once.
///
/// A row is taken for a lease, so that two nodes do not tell the same; it leaves the queue when the client has answered that it heard. A
/// process that dies between has told nobody anything wrong: the row is due again when its lease is over. Each client has its turn beside
/// the others, one call at a time; when a call fails, everything that waits for that client waits longer, so that one that is slow or gone
/// costs the others nothing. Nobody who signs out waits for any of it.
package final class LogoutDelivery: Sendable {
    package typealias Stores = LogoutStore & ClientStore

    /// Clients that are called at a time: fewer than `Outbound` has threads.
    package static let callsMax = 6
    /// Rows that are held at a time.
    package static let heldMax = 240
    /// More than twice what one call may take.
    package static let lease = Duration.seconds(60)
    package static let callTimeMax = Duration.seconds(10)
    package static let retryMin = Duration.seconds(5)
    package static let retryMax = Duration.seconds(3_600)

    private struct Held: Sendable {
        let logout: PendingLogout
        let leasedUntil: Instant
    }

    private enum Outcome {
        case delivered
        /// Nobody wants to hear of it any more.
        case pointless
        case failed(String)
        /// The process ends.
        case cancelled
    }

    private let store: any Stores
    private let issuer: TokenIssuer
    private let calls: any OutgoingCalls
    private let log: Log
    /// What waits in this process, by client; there while somebody works on it.
    private let held = Mutex<[Identifier: [Held]]>([:])

    package init(store: any Stores, issuer: TokenIssuer, calls: any OutgoingCalls, log: Log) {
        self.store = store
        self.issuer = issuer
        self.calls = calls
        self.log = log
    }

    /// Delivers what is due at each wake, until the task is cancelled. What is under way then is given back.
    ///
    /// - Parameter again: Makes another wake: there may be more than could be taken.
    package func run(_ wakes: AsyncStream<Void>, again: @escaping @Sendable () -> Void) async {
        await withDiscardingTaskGroup { group in
            for await _ in wakes {
                for client in await takeAll() {
                    group.addTask { [self] in
                        await work(on: client)
                        again()
                    }
                }
            }
            group.cancelAll()
        }
    }

    /// Delivers what is due now, and returns when it is told or put off. Not beside `run`.
    package func deliverDue() async {
        while true {
            let clients = await takeAll()
            if clients.isEmpty { return }
            await withDiscardingTaskGroup { group in
                for client in clients { group.addTask { [self] in await work(on: client) } }
            }
        }
    }

    /// The wait before the next try: doubled with each, and up to a quarter more by chance, so that what failed together does not come
    /// back together.
    package static func wait(after attempts: Int64, _ environment: Environment) -> Duration {
        let doublings = min(max(attempts, 1), 11) - 1
        let wait = min(retryMax.wholeMilliseconds, retryMin.wholeMilliseconds << doublings)
        let bytes = environment.randomBytes(2)
        let share = Int64(bytes[0]) << 8 | Int64(bytes[1])
        return .milliseconds(wait + wait / 4 * share / 65_536)
    }
}

extension LogoutDelivery {
    /// Takes what is due, as far as there is room. One caller at a time.
    ///
    /// - Returns: The clients that nobody works on yet.
    private func takeAll() async -> [Identifier] {
        var started: [Identifier] = []
        while true {
            let room = held.withLock { held in
                min(LogoutDelivery.callsMax - held.count, LogoutDelivery.heldMax - held.values.reduce(0) { $0 + $1.count })
            }
            if room <= 0 { return started }
            let now = issuer.environment.now()
            let due: [PendingLogout]
            do { due = try await store.dueLogouts(room, lease: LogoutDelivery.lease, at: now) } catch {
                log(.error, "logouts_unreadable", [("problem", "\(error)")])
                return started
            }
            held.withLock { held in
                for logout in due {
                    let row = Held(logout: logout, leasedUntil: now + LogoutDelivery.lease)
                    if held[logout.clientID]?.append(row) == nil {
                        held[logout.clientID] = [row]
                        started.append(logout.clientID)
                    }
                }
            }
            if due.count < room { return started }
        }
    }

    /// Tells one client everything that waits for it, in order, until that is done or a call fails.
    private func work(on client: Identifier) async {
        while let row = next(client) {
            let now = issuer.environment.now()
            // Somebody else may have it soon.
            if now + LogoutDelivery.callTimeMax * 2 > row.leasedUntil { continue }
            switch await deliver(row.logout, at: now) {
            case .delivered:
                log(.info, "logout_delivered", [("client", client.text), ("sid", row.logout.sessionID.text)])
                await finish(row.logout)
            case .pointless: await finish(row.logout)
            case .failed(let reason):
                let others = dropAll(client)
                log(
                    .warning, "logout_not_delivered",
                    [
                        ("client", client.text), ("reason", reason), ("attempts", String(row.logout.attempts)),
                        ("waiting", String(others.count + 1)),
                    ])
                for row in [row] + others { await putOff(row.logout) }
                return
            case .cancelled:
                for row in [row] + dropAll(client) { await putOff(row.logout, until: now) }
                return
            }
        }
    }

    /// The next row; with the last one the client is worked on no more.
    private func next(_ client: Identifier) -> Held? {
        held.withLock { held in
            guard var rows = held[client], !rows.isEmpty else {
                held[client] = nil
                return nil
            }
            let first = rows.removeFirst()
            held[client] = rows
            return first
        }
    }

    private func dropAll(_ client: Identifier) -> [Held] { held.withLock { $0.removeValue(forKey: client) ?? [] } }

    private func deliver(_ logout: PendingLogout, at now: Instant) async -> Outcome {
        do {
            guard let client = try await store.client(logout.clientID), let uri = client.definition.metadata.backchannelLogoutURI else {
                return .pointless
            }
            let token = try await issuer.logoutToken(logout, to: client, at: now)
            var request = OutgoingRequest(
                .post, try OutgoingURL(uri), headers: [("Content-Type", "application/x-www-form-urlencoded")],
                body: Array(FormParameters([("logout_token", token.exposed)]).encoded.utf8), acceptedTypes: [],
                limits: OutgoingLimits(timeMax: LogoutDelivery.callTimeMax))
            request.isStrangers = client.isStrangers
            let answer = try await calls.fetch(request)
            // 204 is what frameworks make of an empty 200 (Back-Channel Logout §2.8).
            return [200, 204].contains(answer.status) ? .delivered : .failed("status_\(answer.status)")
        } catch let error as OutgoingError {
            return error == .cancelled || error == .stopped ? .cancelled : .failed(error.rawValue)
        } catch let error as OAuthError {
            return .failed(error.reason.rawValue)
        } catch {
            return .failed("store_unavailable")
        }
    }

    private func finish(_ logout: PendingLogout) async {
        do { try await store.logoutDelivered(logout.id) } catch {
            // It is told once more when the lease is over, which a client takes for what it is.
            log(.error, "logout_not_finished", [("client", logout.clientID.text), ("problem", "\(error)")])
        }
    }

    private func putOff(_ logout: PendingLogout, until next: Instant? = nil) async {
        let environment = issuer.environment
        let next = next ?? environment.now() + LogoutDelivery.wait(after: logout.attempts, environment)
        do { try await store.logoutFailed(logout.id, next: next) } catch {
            // Then it comes when the lease is over.
            log(.error, "logout_not_put_off", [("client", logout.clientID.text), ("problem", "\(error)")])
        }
    }
}
