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

extension StoreError {
    /// For the operator: what is wrong, in words.
    package var sentence: String {
        switch self {
        case .unavailable(let text), .corrupt(let text), .unusable(let text): text
        case .overloaded: "too many wait for the store already"
        case .outcomeUnknown: "the connection was lost while the store committed: whether it was done is not known"
        }
    }

    /// `sentence` for an error of the store, and what others say of themselves.
    package static func sentence(_ error: any Error) -> String { (error as? StoreError)?.sentence ?? "\(error)" }
}
