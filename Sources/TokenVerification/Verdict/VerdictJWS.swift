public import AuthCore

/// `gatehouse verdict jws`: is this JWS in compact form signed by this key? Nothing else is asked, no claim and no `kid`.
///
/// Input: `jws`, `jwk`. The answer to a good one has `payload_b64`. `HS256`, `HS384` and `HS512` go with an `oct` key. A JWK
/// that is unusable is `unknown_key`; if it is a whole key pair, its public half is taken. An RSA key without `alg` is taken
/// for RS256 or PS256, an `oct` key without one for any HMAC that it is long enough for, as the header says: neither lets a
/// key of one kind be used as another.
public enum VerdictJWS {
    public static func answer(_ line: JSONObject) -> JSONObject {
        guard let jws = line["jws"], let jwk = line["jwk"]?.object else { return VerdictCase.invalid(line) }
        // The JSON serialisation may come as an object: it is refused, not misunderstood.
        if jws.object != nil { return VerdictCase.reject(line, TokenRefusal.malformed.rawValue) }
        guard var text = jws.string else { return VerdictCase.invalid(line) }
        let verdict = text.withUTF8 { payload(of: $0, signedBy: jwk) }
        switch verdict {
        case .failure(let refusal): return VerdictCase.reject(line, refusal.rawValue)
        case .success(let payload):
            var answer = VerdictCase.accept(line)
            answer["payload_b64"] = .string(Base64.encode(payload))
            return answer
        }
    }

    private static func payload(of jws: UnsafeBufferPointer<UInt8>, signedBy jwk: JSONObject) -> Result<[UInt8], TokenRefusal> {
        // What is wrong with the text is of no interest here, only that it is malformed.
        guard let parsed = try? CompactJWS(jws) else { return .failure(.malformed) }
        guard let algorithm = parsed.header.algorithm, algorithm.isOfKeySets || algorithm.isSymmetric else {
            return .failure(.unsupportedAlgorithm)
        }
        let keyAlgorithm: SignatureAlgorithm
        let isSigned: Bool
        do throws(JWKError) {
            if let type = jwk["kty"]?.string, type.isSameBytes(as: "oct") {
                let key = try MACKey(jwk: jwk, headerAlgorithm: algorithm)
                keyAlgorithm = key.algorithm
                isSigned = algorithm == key.algorithm && key.isValidCode(parsed.signature, for: parsed.signingInput)
            } else {
                let isPublic = { (name: String) in !JWKReader.privateMembers.contains { $0.isSameBytes(as: name) } }
                let publicJWK = JSONObject(jwk.members.filter { isPublic($0.name) })
                let key = try VerificationKey(jwk: publicJWK, rsaDefault: algorithm == .ps256 ? .ps256 : .rs256)
                keyAlgorithm = key.algorithm
                isSigned = algorithm == key.algorithm && key.isValidSignature(parsed.signature, for: parsed.signingInput)
            }
        } catch {
            return .failure(.unknownKey)
        }
        guard algorithm == keyAlgorithm else { return .failure(.unsupportedAlgorithm) }
        return isSigned ? .success(parsed.payload) : .failure(.badSignature)
    }
}
