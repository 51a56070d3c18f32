import AuthCore
import Testing
import TokenVerification

/// A proof to be, and the request that it is for.
struct PresentedProof {
    static let method = "GET"
    static let url = "https://api.example/orders"
    static let accessToken = Array("an.access.token".utf8)

    var header: JSONObject
    var claims: JSONObject
    var key: TestKey
    var method = PresentedProof.method
    var url = PresentedProof.url
    var accessToken: [UInt8]? = PresentedProof.accessToken
    var nonce: String?
    var now = Instant(seconds: Presented.now)
    var isSignatureBroken = false

    /// Good in every respect.
    init(_ key: TestKey? = nil) throws {
        let key = try key ?? TestKey.es256("device", seed: 21)
        self.key = key
        header = JSONObject([
            ("typ", "dpop+jwt"), ("alg", .string(key.verification.algorithm.rawValue)), ("jwk", .object(key.verification.publicJWK)),
        ])
        claims = JSONObject([
            ("jti", "p1"), ("htm", .string(PresentedProof.method)), ("htu", .string(PresentedProof.url)), ("iat", .integer(Presented.now)),
            ("ath", .string(Base64URL.encode(TokenHash(of: PresentedProof.accessToken).bytes))),
        ])
    }

    func text() throws -> [UInt8] {
        try Presented.token(
            header: JSONValue.object(header).encoded, payload: JSONValue.object(claims).encoded, key: key, isBroken: isSignatureBroken)
    }

    func request() throws -> DPoPRequest {
        let target = try #require(DPoPTarget(url: url))
        let isNonce = nonce.map { expected in { @Sendable (nonce: String) in nonce.isSameBytes(as: expected) } }
        if let accessToken { return DPoPRequest(method: method, target: target, accessToken: accessToken, nonce: isNonce) }
        return DPoPRequest(method: method, target: target, nonce: isNonce)
    }

    /// The proof, as the shell hands it to the decision about a token.
    func sender(certificate: String? = nil, replay: ProofReplay? = nil) throws -> SenderProof {
        SenderProof(
            key: .proven(try DPoPProof(try text(), for: try request(), at: now)), certificate: certificate, replay: replay)
    }

    func outcome() throws -> String { PresentedProof.outcome(try text(), try request(), now) }

    static func outcome(_ proof: [UInt8], _ request: DPoPRequest, _ now: Instant) -> String {
        do throws(DPoPProofError) {
            _ = try DPoPProof(proof, for: request, at: now)
            return "accept"
        } catch {
            return error.rawValue
        }
    }
}

/// One change to a good proof, and the answer to it.
struct ProofRow: Sendable, CustomTestStringConvertible {
    let testDescription: String
    let expected: String
    let change: @Sendable (inout PresentedProof) throws -> Void

    init(_ what: String, _ expected: String, _ change: @escaping @Sendable (inout PresentedProof) throws -> Void) {
        testDescription = "\(what): \(expected)"
        self.expected = expected
        self.change = change
    }

    func outcome() throws -> String {
        var proof = try PresentedProof()
        try change(&proof)
        return try proof.outcome()
    }
}
