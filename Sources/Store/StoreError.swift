/// Why a store method did nothing. Whatever throws one of these has changed nothing, except `outcomeUnknown`.
package enum StoreError: Error, Sendable, Equatable {
    /// The database cannot be reached or written now; the caller answers 503 with `Retry-After`.
    case unavailable(String)
    /// Too many callers wait already; the caller answers 503 with `Retry-After`.
    case overloaded
    /// The connection was lost while committing: the caller reads before it tries again.
    case outcomeUnknown
    /// What is stored breaks an invariant of the schema. Never repaired silently.
    case corrupt(String)
    /// The store belongs to another master key, is newer than this program, or is damaged: refuse to start.
    case unusable(String)
}
