internal import AuthCore

/// Whether a token came from whom it is bound to (RFC 9449 §7, RFC 8705 §3): the part of the checks about `cnf`.
///
/// | | answer |
/// |---|---|
/// | bound to a key, and no proof of a key came | `proof_required` |
/// | bound to a certificate, and none came | `proof_required` |
/// | bound in another way, or to nothing | `proof_required` |
/// | what came as a proof is none for this request | `invalid_proof` |
/// | a proof came, and the token is bound to another key or to none (RFC 9449 §7.1) | `invalid_proof` |
/// | bound to another certificate | `invalid_proof` |
/// | the proof was used before | `invalid_proof` |
///
/// A certificate that came with an unbound token is not looked at.
struct SenderCheck {
    let token: AccessToken
    let proof: SenderProof?
    let uptime: Uptime

    func obstacle(_ explanation: inout TokenExplanation?) -> RequirementCheck.Obstacle? {
        guard explanation.check("proof", isComplete, expected: expected, found: found) else { return .refused(.proofRequired) }
        guard explanation.check("proof", isBound, expected: expected, found: found) else { return .refused(.invalidProof) }
        guard case .proven(let proof) = proof?.key, let replay = self.proof?.replay else { return nil }
        switch replay.use(proof, at: uptime) {
        case .first: return nil
        case .repeated:
            _ = explanation.check("proof", false, expected: "a proof that was not used before", found: "jti \(proof.id)")
            return .refused(.invalidProof)
        case .full:
            _ = explanation.check("proof", false, expected: "room for one more proof", found: "\(replay.count) remembered")
            return .overloaded
        }
    }

    private var cameWithKey: Bool { if case .some(.none) = proof?.key { false } else { proof != nil } }

    /// Whether everything that the token is bound to was shown, good or not.
    private var isComplete: Bool {
        !token.hasUnknownConfirmation && (token.confirmationJKT == nil || cameWithKey)
            && (token.confirmationX5T == nil || proof?.certificate != nil)
    }

    /// Whether it is what the token is bound to.
    private var isBound: Bool {
        switch proof?.key {
        case .some(.none), nil: break
        case .refused: return false
        case .proven(let proof): guard let jkt = token.confirmationJKT, jkt.isSameBytes(as: proof.jkt) else { return false }
        }
        guard let expected = token.confirmationX5T else { return true }
        return proof?.certificate?.isSameBytes(as: expected) ?? false
    }

    private var expected: String {
        var texts: [String] = []
        if let jkt = token.confirmationJKT { texts.append("key \(jkt)") }
        if let x5t = token.confirmationX5T { texts.append("certificate \(x5t)") }
        if token.hasUnknownConfirmation { texts.append("cnf with jkt or x5t#S256 and nothing else") }
        return texts.isEmpty ? "a token that is bound to the key of the proof" : texts.joined(separator: ", ")
    }

    private var found: String {
        var texts: [String] = []
        switch proof?.key {
        case .some(.none), nil: break
        case .refused(let error): texts.append(error.rawValue)
        case .proven(let proof): texts.append("key \(proof.jkt)")
        }
        if let certificate = proof?.certificate { texts.append("certificate \(certificate)") }
        return texts.isEmpty ? "no proof" : texts.joined(separator: ", ")
    }
}
