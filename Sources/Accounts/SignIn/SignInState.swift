package import AuthCore
package import Store

/// What a sign-in is for: where it goes when it is done.
package enum SignInGoal: Sendable, Equatable {
    /// Tokens for a first-party client: the parameters of `POST /login` without the secrets.
    case login(JSONObject)
    /// The parked authorization request, device request or the like of this id.
    case interaction(Identifier)
}

/// Why a sign-in has ended without a session.
package enum SignInRefusal: String, Sendable, Equatable, CaseIterable {
    case expired = "sign_in_expired"
    case cancelled = "sign_in_cancelled"
    /// The factor is not one that was asked for.
    case factorUnexpected = "sign_in_factor_unexpected"
    /// The assurance that is needed is out of reach for this account: a further factor has to be enrolled first.
    case enrolmentNeeded = "sign_in_enrolment_needed"
    /// It was done before; a sign-in leads to one session.
    case finished = "sign_in_finished"
}

package enum SignInEvent: Sendable, Equatable {
    case proved(FactorProof)
    case cancelled
}

package enum SignInStep: Sendable, Equatable {
    /// One of these is to be proven next; never empty.
    case needs([Factor])
    case done(SessionAssurance)
    case refused(SignInRefusal)
}

/// One sign-in of one account, as a value: the JSON API, the pages, the device flow and upstream providers all drive this, and
/// only this makes a `SessionAssurance`.
///
/// Between two requests it is parked in the store as JSON under the hash of a token; taking it from there uses the token up.
package struct SignInState: Sendable, Equatable {
    /// Between the first factor and the last (MF-04).
    package static let lifetimeMax = Duration.seconds(300)

    package enum Phase: Sendable, Equatable {
        case open
        case done
        case refused(SignInRefusal)
    }

    package let account: Identifier
    /// The account's epoch when the sign-in began; the session is opened against it.
    package let accountEpoch: Int64
    package let goal: SignInGoal
    /// What the account can prove.
    package let enrolled: [Factor]
    package let required: AssuranceLevel
    package let startedAt: Instant
    package let expiresAt: Instant
    package private(set) var proofs: [FactorProof] = []
    package private(set) var phase = Phase.open

    /// - Parameters:
    ///   - enrolled: Each once. An account with a second factor needs it, whatever was asked (MF-03, CVE-2025-64103).
    ///   - requested: What the request or the policy asks for.
    ///   - lifetime: At most `lifetimeMax`.
    package init(
        account: Identifier, accountEpoch: Int64, goal: SignInGoal, enrolled: [Factor], requested: AssuranceLevel,
        validity: (startedAt: Instant, lifetime: Duration)
    ) {
        self.account = account
        self.accountEpoch = accountEpoch
        self.goal = goal
        self.enrolled = Factor.allCases.filter(enrolled.contains)
        let hasSecond = enrolled.contains(.totp) || (enrolled.contains(.passkey) && enrolled.contains { $0.canComeFirst && $0 != .passkey })
        self.required = hasSecond ? .twoFactors : requested
        self.startedAt = validity.startedAt
        self.expiresAt = validity.startedAt + min(max(validity.lifetime, .zero), SignInState.lifetimeMax)
    }

    init(parked fields: ParkedSignIn) {
        account = fields.account
        accountEpoch = fields.accountEpoch
        goal = fields.goal
        enrolled = fields.enrolled
        required = fields.required
        startedAt = fields.startedAt
        expiresAt = fields.expiresAt
        proofs = fields.proofs
    }

    /// What is to be done next, without an event.
    package func step(at now: Instant) -> SignInStep {
        switch phase {
        case .refused(let reason): return .refused(reason)
        case .done: return .refused(.finished)
        case .open: break
        }
        if now >= expiresAt || now < startedAt { return .refused(.expired) }
        let next = wanted
        return next.isEmpty ? .refused(.enrolmentNeeded) : .needs(next)
    }

    /// Applies one event. The answer `.done` comes once in the life of a sign-in; after it, and after a refusal, nothing leads on.
    ///
    /// A factor that was not asked for is refused and ends nothing: the answer is `.refused(.factorUnexpected)`, the phase stays.
    package mutating func apply(_ event: SignInEvent, at now: Instant) -> SignInStep {
        let next: [Factor]
        switch step(at: now) {
        case .needs(let factors): next = factors
        case .refused(let reason):
            if phase == .open { phase = .refused(reason) }
            return .refused(reason)
        case .done: return .refused(.finished)
        }
        switch event {
        case .cancelled:
            phase = .refused(.cancelled)
            return .refused(.cancelled)
        case .proved(let proof):
            guard next.contains(proof.factor), proof.at >= startedAt, proof.at <= now else { return .refused(.factorUnexpected) }
            proofs.append(proof)
            guard let level, level >= required else {
                let following = step(at: now)
                if case .refused(let reason) = following { phase = .refused(reason) }
                return following
            }
            phase = .done
            return .done(assurance(level))
        }
    }

    /// The factors that would lead on from here.
    private var wanted: [Factor] {
        guard !proofs.isEmpty else {
            return enrolled.filter { $0.canComeFirst }
        }
        let missing: Factor.Kind = proofs.contains { $0.factor.kind == .held } ? .known : .held
        return enrolled.filter { $0.kind == missing && !proofs.map(\.factor.kind).contains(missing) }
    }

    /// What the proofs come to; nothing when there is none. Two factors are something held and one of another kind: a password and a
    /// mailbox are not (NIST SP 800-63B-4 §3.1.3.1).
    private var level: AssuranceLevel? {
        guard !proofs.isEmpty else { return nil }
        let kinds = Set(proofs.map(\.factor.kind))
        return kinds.contains(.held) && kinds.count > 1 || proofs.contains(where: \.isTwoFactors) ? .twoFactors : .oneFactor
    }

    /// - Returns: `authenticatedAt` is when the last factor was proven: all of them were proven within `lifetimeMax` before it.
    private func assurance(_ level: AssuranceLevel) -> SessionAssurance {
        var amr: [String] = []
        for name in proofs.flatMap(\.amr) + (level == .twoFactors ? ["mfa"] : []) where !amr.contains(where: { $0.isSameBytes(as: name) }) {
            amr.append(name)
        }
        return SessionAssurance(acr: level.acr, amr: amr, authenticatedAt: proofs.map(\.at).max() ?? startedAt)
    }
}
