public import AuthCore

/// What an entry of the revocation log is about.
public enum RevocationKind: String, Sendable, Hashable, CaseIterable {
    /// A sign-in session: tokens with this `sid`.
    case session
    /// Tokens with this `gid`.
    case grant
    /// Tokens with this `sub` and a lower account epoch in `ver`.
    case account
    /// Tokens with this `client_id` and a lower client epoch in `ver`.
    case client
    /// The token with this `jti`.
    case token
    /// Tokens signed by the key with this `kid`.
    case key
}

/// One entry of the log. Entries for sessions, grants, tokens and keys are absolute; those for accounts and clients raise
/// the epoch that a token must carry.
public struct RevocationEntry: Sendable, Equatable {
    public var kind: RevocationKind
    public var id: Identifier
    /// For accounts and clients: tokens with a lower one are revoked. Nothing revokes them all.
    public var epoch: Int64?
    /// No token that this concerns is valid after it, clock differences included.
    public var until: Instant

    public init(kind: RevocationKind, id: Identifier, epoch: Int64? = nil, until: Instant) {
        self.kind = kind
        self.id = id
        self.epoch = epoch
        self.until = until
    }
}

/// A place in the log, `<epoch>-<sequence>` as text. Another epoch means that positions cannot be compared.
public struct RevocationPosition: Sendable, Hashable, CustomStringConvertible {
    /// The longest epoch, in bytes.
    public static let epochBytesMax = 64

    public let epoch: String
    public let sequence: Int64

    public init(epoch: String, sequence: Int64) {
        self.epoch = epoch
        self.sequence = sequence
    }

    /// Reads the text form, as `Last-Event-ID` brings it: an epoch of letters, digits, `_` and `-`, then `-`, then digits.
    public init?(_ text: String) {
        let bytes = Array(text.utf8)
        guard let dash = bytes.lastIndex(of: UInt8(ascii: "-")), (1...RevocationPosition.epochBytesMax).contains(dash) else { return nil }
        let epoch = bytes[..<dash]
        let digits = bytes[(dash + 1)...]
        let isEpoch = epoch.allSatisfy { byte in
            (UInt8(ascii: "0")...UInt8(ascii: "9")) ~= byte || (UInt8(ascii: "a")...UInt8(ascii: "z")) ~= lowercasedASCII(byte)
                || byte == UInt8(ascii: "-") || byte == UInt8(ascii: "_")
        }
        guard isEpoch, (1...19).contains(digits.count), digits.allSatisfy({ (UInt8(ascii: "0")...UInt8(ascii: "9")) ~= $0 }),
            let sequence = Int64(String(decoding: digits, as: UTF8.self))
        else { return nil }
        self.init(epoch: String(decoding: epoch, as: UTF8.self), sequence: sequence)
    }

    public var description: String { "\(epoch)-\(sequence)" }

    public func isSameEpoch(as other: RevocationPosition) -> Bool { epoch.isSameBytes(as: other.epoch) }

    public static func == (left: RevocationPosition, right: RevocationPosition) -> Bool {
        left.sequence == right.sequence && left.isSameEpoch(as: right)
    }

    public func hash(into hasher: inout Hasher) {
        hasher.combine(Identifier(epoch))
        hasher.combine(sequence)
    }
}
