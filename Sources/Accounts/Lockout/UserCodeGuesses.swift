package import AuthCore
package import Store

/// Throttling of the codes that people type from their devices (RFC 8628 §5.1): per source, and per session that the browser is signed in
/// with, so that neither many addresses behind one session nor many sessions behind one address help. Counted before a code is looked up.
package struct UserCodeGuesses: Sendable {
    /// Ten in an hour are typing errors; then each further one waits twice as long as the one before.
    private static let rule = LockoutRule(freeAttempts: 10, delay: .seconds(1), delayMax: .seconds(900), window: .seconds(3_600))

    private let store: any ThrottleStore

    package init(store: any ThrottleStore) { self.store = store }

    /// What a guess was counted on.
    package struct Ticket: Sendable {
        fileprivate let keys: [Identifier]
    }

    package enum Verdict: Sendable {
        /// Look the code up, then report with this ticket if it was right.
        case allowed(Ticket)
        case delayed(Duration)
    }

    /// - Parameter sessions: Those of the browser.
    package func attempt(source: PeerAddress, sessions: [Identifier], at now: Instant) async throws(StoreError) -> Verdict {
        let keys = [Identifier("user-code:source:\(source.throttleKey)")] + sessions.map { Identifier("user-code:session:\($0)") }
        let wait: Duration? = try await store.throttle(keys) { records in
            let answers = records.map { UserCodeGuesses.rule.attempt($0, at: now) }
            var until: Instant?
            for case .delayed(let end) in answers.map(\.answer) { until = max(until ?? end, end) }
            // Not evaluated, so not counted.
            if let until { return until - now }
            records = answers.map(\.record)
            return nil
        }
        return wait.map { .delayed($0) } ?? .allowed(Ticket(keys: keys))
    }

    /// The code was right: it was no guess. What was counted before stays, or one code of one's own would clear it.
    package func wasRight(_ ticket: Ticket, at now: Instant) async throws(StoreError) {
        try await store.throttle(ticket.keys) { records in records = records.map { UserCodeGuesses.rule.refunded($0, at: now) } }
    }
}
