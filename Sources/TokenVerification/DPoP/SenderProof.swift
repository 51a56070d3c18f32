public import AuthCore

/// What whoever presents a token has shown of himself beside it, as far as the shell that took the request could tell.
///
/// An object, so that a request without proofs carries a null and nothing else.
public final class SenderProof: Sendable {
    public enum Key: Sendable {
        /// The token came alone, under the Bearer scheme.
        case none
        /// The token came under the DPoP scheme, with this proof of a key.
        case proven(DPoPProof)
        /// The token came under the DPoP scheme, with what is no proof for this request.
        case refused(DPoPProofError)
    }

    public let key: Key
    /// The SHA-256 of the client's certificate, of which the connection has proven the key (RFC 8705 §3), in base64url; nothing when
    /// there is none.
    public let certificate: String?
    /// Where the proof is used up, once the token is found bound to its key; nothing when nobody keeps count.
    let replay: ProofReplay?

    public init(key: Key, certificate: String? = nil, replay: ProofReplay? = nil) {
        self.key = key
        self.certificate = certificate
        self.replay = replay
    }

    /// A certificate as others write its SHA-256: `x5t#S256` has it in base64url, proxies have it as 64 hexadecimal digits.
    ///
    /// - Returns: In base64url; nothing for another text.
    public static func certificate(_ text: String) -> String? {
        if text.utf8.count == 43 { return Base64URL.decode(text)?.count == 32 ? text : nil }
        guard text.utf8.count == 64 else { return nil }
        var bytes: [UInt8] = []
        var high: UInt8?
        for digit in text.utf8 {
            guard let value = hexDigit(digit) else { return nil }
            if let first = high {
                bytes.append(first << 4 | value)
                high = nil
            } else {
                high = value
            }
        }
        return Base64URL.encode(bytes)
    }
}

/// What one decision point keeps for the proofs that it takes: its nonces, and the proofs that were used.
public struct ProofDesk: Sendable {
    public let nonces: DPoPNonces
    public let replay: ProofReplay

    /// - Parameter replay: Its window is `DPoPNonces.window`, for a proof without a good nonce is not taken.
    public init(nonces: DPoPNonces, replay: ProofReplay = ProofReplay(window: DPoPNonces.window)) {
        self.nonces = nonces
        self.replay = replay
    }

    /// Checks a proof that came with an access token, nonce and all.
    ///
    /// - Parameters:
    ///   - proof: The value of the one `DPoP` field.
    ///   - target: The URL as the client sees it; nothing when it cannot be told, and no proof fits.
    public func check(
        _ proof: some Collection<UInt8>, method: String, target: DPoPTarget?, accessToken: some Sequence<UInt8>, at now: Instant
    ) throws(DPoPProofError) -> DPoPProof {
        guard let target else { throw .wrongTarget }
        let request = DPoPRequest(method: method, target: target, accessToken: accessToken) { [nonces] in nonces.isGood($0, at: now) }
        return try DPoPProof(proof, for: request, at: now)
    }
}
