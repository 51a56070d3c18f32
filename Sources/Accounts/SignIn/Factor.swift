package import AuthCore

/// A way to prove who one is.
package enum Factor: String, Sendable, Hashable, CaseIterable {
    case password
    case totp
    case recoveryCode = "recovery_code"
    case passkey
    case emailCode = "email_code"
    /// Another identity provider said so.
    case provider

    /// What a proof rests on. Two proofs of one kind are one factor (NIST SP 800-63B-4 §2.2).
    enum Kind: Hashable {
        case known
        case held
        case mailbox
        case delegated
    }

    var kind: Kind {
        switch self {
        case .password: .known
        case .totp, .recoveryCode, .passkey: .held
        case .emailCode: .mailbox
        case .provider: .delegated
        }
    }

    /// Whether a sign-in may begin with it.
    var canComeFirst: Bool { self != .totp && self != .recoveryCode }
}

/// That one factor was proven, and how.
package struct FactorProof: Sendable, Equatable {
    package let factor: Factor
    /// RFC 8176's names of what was done: `pwd`, `otp`, `hwk`, `swk`, `user`, …
    package let amr: [String]
    package let at: Instant

    /// The most names.
    package static let amrMax = 8

    /// - Parameter amr: At most `amrMax` count; `user` with a passkey says that the person was verified by the device.
    package init(factor: Factor, amr: [String], at: Instant) {
        self.factor = factor
        self.amr = Array(amr.prefix(FactorProof.amrMax))
        self.at = at
    }

    /// A passkey that verified its user is two factors: the device, and what opened it (NIST SP 800-63B-4 §3.1.7).
    var isTwoFactors: Bool { factor == .passkey && amr.contains { $0.isSameBytes(as: "user") } }
}

/// How sure a sign-in makes us (`acr`, OpenID Connect Core §2).
package enum AssuranceLevel: Int, Sendable, Comparable, CaseIterable {
    case oneFactor = 1
    case twoFactors = 2

    package var acr: String { "urn:gatehouse:acr:\(rawValue)" }

    /// - Returns: Nothing for a value that is not ours.
    package init?(acr: String) {
        guard let level = AssuranceLevel.allCases.first(where: { $0.acr.isSameBytes(as: acr) }) else { return nil }
        self = level
    }

    package static func < (left: AssuranceLevel, right: AssuranceLevel) -> Bool { left.rawValue < right.rawValue }
}
