internal import AuthCore

/// How one kind of proxy says what its client wants. A dialect is a file and a line in `ForwardAuth.dialects`.
struct ForwardAuthDialect: Sendable {
    enum Reading {
        /// None of the dialect's fields is there.
        case absent
        case wanted(WantedRequest)
        /// Some are missing, repeated, or unreadable.
        case incomplete
    }

    let name: String
    /// Looks at the fields only; whether the peer may be believed is asked elsewhere.
    let read: @Sendable (Headers) -> Reading
}
