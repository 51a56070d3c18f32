public import AuthCore

/// The answer about one token.
public enum TokenDecision: Sendable {
    case accept(AccessToken)
    case refuse(TokenRefusal)
    /// Only the shell can find out: it awaits in single flight and within a bound, then decides once more.
    case ask(TokenQuestion)
    /// Nobody can say: the revocations are too old and the policy is to refuse. The shell answers 503 `stale`.
    case unavailable
    /// The token and its proof are good, but too many proofs are remembered to take another one. The shell answers 503.
    case overloaded
}

public enum TokenQuestion: Sendable, Equatable {
    /// Catch up with the revocations.
    case staleRevocations
    /// Fetch the key set. When it comes back without this key, the answer is `TokenRefusal.unknownKey`.
    case unknownKey(Identifier)
}
