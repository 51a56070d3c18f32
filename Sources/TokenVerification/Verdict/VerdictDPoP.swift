public import AuthCore

/// `gatehouse verdict dpop`: is this proof good for this request, now? The reasons are those of `DPoPProofError`.
///
/// Input: `proof`, `method`, `url`, `now` (seconds); `nonce`, the one that the proof must have, and `access_token`, the one that it came
/// with, may be left out or null. The answer to a good one has `jkt`. Whether the proof was used before is not asked.
public enum VerdictDPoP {
    public static func answer(_ line: JSONObject) -> JSONObject {
        guard let proof = line["proof"]?.string, let method = line["method"]?.string,
            let target = line["url"]?.string.flatMap({ DPoPTarget(url: $0) }), let now = line["now"]?.number.flatMap(ClaimReader.date),
            case .some(let nonce) = text(line["nonce"]), case .some(let accessToken) = text(line["access_token"])
        else { return VerdictCase.invalid(line) }
        let isNonce = nonce.map { expected in { @Sendable (nonce: String) in nonce.isSameBytes(as: expected) } }
        let request =
            accessToken.map { DPoPRequest(method: method, target: target, accessToken: $0.utf8, nonce: isNonce) }
            ?? DPoPRequest(method: method, target: target, nonce: isNonce)
        do throws(DPoPProofError) {
            let checked = try DPoPProof(proof.utf8, for: request, at: now)
            var answer = VerdictCase.accept(line)
            answer["jkt"] = .string(checked.jkt)
            return answer
        } catch {
            return VerdictCase.reject(line, error.rawValue)
        }
    }

    /// - Returns: Nothing for what is neither text nor left out.
    private static func text(_ value: JSONValue?) -> String?? {
        guard let value, !value.isNull else { return .some(nil) }
        return value.string.map { .some($0) }
    }
}
