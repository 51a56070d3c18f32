public import AuthCore
public import Crypto
internal import Synchronization

/// The nonces of resource decision points (RFC 9449 §8, §9, DP-04): computed, not stored.
///
/// A nonce is a MAC of the time, in steps of five seconds. It is good in its own step and in the next one, so for ten seconds at most;
/// what was signed with it is as fresh as that, whatever the sender's clock says. Nodes with the same key accept each other's, and so
/// the step ahead too as far as their clocks may differ.
public struct DPoPNonces: Sendable {
    /// How long one nonce is given out; it is accepted for twice as long.
    public static let step = Duration.seconds(5)
    /// How far the clock of the node that gave it out may be ahead.
    public static let clockBound = Duration.seconds(2)
    /// The longest time that one nonce is accepted here, from the first moment to the last.
    public static let window = step + step + clockBound
    private static let bytes = 16

    private let keys: [SymmetricKey]
    private let accepted = Accepted()

    /// Those that are good in the present step, so that they are computed once and not with each proof.
    private final class Accepted: Sendable {
        let nonces = Mutex<(numbers: [Int64], texts: [String])>(([], []))
    }

    /// - Parameter keys: The first makes nonces, all are accepted; at least one. With none, no nonce is ever good.
    public init(keys: [SymmetricKey]) { self.keys = keys }

    /// The one for the proofs that come next.
    public func nonce(at now: Instant) -> String { texts(DPoPNonces.accepted(at: now)).first ?? "" }

    /// Whether it was given out here, or by a node with the same key, and not too long ago.
    public func isGood(_ nonce: String, at now: Instant) -> Bool {
        texts(DPoPNonces.accepted(at: now)).contains { isEqualInConstantTime($0.utf8, nonce.utf8) }
    }

    /// The steps whose nonces are good, the present one first.
    private static func accepted(at now: Instant) -> [Int64] {
        let (current, ahead) = (number(now), number(now + clockBound))
        return ahead == current ? [current, current - 1] : [current, current - 1, ahead]
    }

    private func texts(_ numbers: [Int64]) -> [String] {
        accepted.nonces.withLock { held in
            if held.numbers != numbers {
                held = (numbers, keys.flatMap { key in numbers.map { DPoPNonces.nonce($0, key) } })
            }
            return held.texts
        }
    }

    private static func number(_ time: Instant) -> Int64 {
        let step = step.wholeMilliseconds
        return max(0, time.milliseconds) / step
    }

    private static func nonce(_ number: Int64, _ key: SymmetricKey) -> String {
        let code = withUnsafeBytes(of: number.bigEndian) { HMAC<SHA256>.authenticationCode(for: $0, using: key) }
        return Base64URL.encode(Array(code.prefix(bytes)))
    }
}
