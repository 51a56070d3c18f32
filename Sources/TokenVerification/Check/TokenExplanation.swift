/// Each check of one decision in its order, recorded by the code that decides.
public struct TokenExplanation: Sendable {
    /// As far as the decision went: the last one is the one that failed, if one did.
    public private(set) var checks: [TokenCheck] = []

    public init() {}

    fileprivate mutating func record(_ check: TokenCheck) { checks.append(check) }
}

public struct TokenCheck: Sendable, Equatable {
    /// The longest text of `expected` and `found`, in bytes.
    public static let textBytesMax = 256

    /// `format`, `algorithm`, `key`, `key_algorithm`, `signature`, `type`, `issuer`, `not_before`, `expiry`, `revocation`,
    /// `freshness`, `audience`, `proof`, `authentication`, `scope`.
    public let name: String
    public let expected: String
    public let found: String
    public let passed: Bool

    init(name: String, expected: String, found: String, passed: Bool) {
        self.name = name
        self.expected = TokenCheck.bounded(expected)
        self.found = TokenCheck.bounded(found)
        self.passed = passed
    }

    private static func bounded(_ text: String) -> String {
        text.utf8.count <= textBytesMax ? text : String(decoding: text.utf8.prefix(textBytesMax), as: UTF8.self) + "…"
    }
}

extension Optional<TokenExplanation> {
    /// Records one check if somebody wants to know; the texts are made only then.
    ///
    /// - Returns: `passed`.
    mutating func check(
        _ name: StaticString, _ passed: Bool, expected: @autoclosure () -> String, found: @autoclosure () -> String
    ) -> Bool {
        guard self != nil else { return passed }
        let check = TokenCheck(name: name.description, expected: expected(), found: found(), passed: passed)
        self?.record(check)
        return passed
    }
}
