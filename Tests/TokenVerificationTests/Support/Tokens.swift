import AuthCore
import Crypto
import CryptoExtras
import Testing

@testable import TokenVerification

/// A key pair of the tests.
struct TestKey: Sendable {
    let verification: VerificationKey
    let sign: @Sendable ([UInt8]) throws -> [UInt8]

    var id: Identifier { verification.id }

    private static func scalar(_ count: Int, _ byte: UInt8) -> [UInt8] { [0] + [UInt8](repeating: byte, count: count - 1) }

    static func es256(_ id: Identifier = "k1", seed: UInt8 = 7) throws -> TestKey {
        let key = try P256.Signing.PrivateKey(rawRepresentation: scalar(32, seed))
        return TestKey(verification: VerificationKey(id: id, es256: key.publicKey)) { Array(try key.signature(for: $0).rawRepresentation) }
    }

    static func es384(_ id: Identifier = "k384") throws -> TestKey {
        let key = try P384.Signing.PrivateKey(rawRepresentation: scalar(48, 8))
        return TestKey(verification: VerificationKey(id: id, es384: key.publicKey)) { Array(try key.signature(for: $0).rawRepresentation) }
    }

    static func es512(_ id: Identifier = "k512") throws -> TestKey {
        let key = try P521.Signing.PrivateKey(rawRepresentation: scalar(66, 9))
        return TestKey(verification: VerificationKey(id: id, es512: key.publicKey)) { Array(try key.signature(for: $0).rawRepresentation) }
    }

    static func edDSA(_ id: Identifier = "ked") throws -> TestKey {
        let key = try Curve25519.Signing.PrivateKey(rawRepresentation: scalar(32, 10))
        return TestKey(verification: VerificationKey(id: id, edDSA: key.publicKey)) { Array(try key.signature(for: $0)) }
    }

    private static let rsa = Result { try _RSA.Signing.PrivateKey(keySize: .bits2048) }

    static func rs256(_ id: Identifier = "krs") throws -> TestKey {
        let key = try rsa.get()
        return TestKey(verification: try VerificationKey(id: id, rs256: key.publicKey)) {
            Array(try key.signature(for: SHA256.hash(data: $0), padding: .insecurePKCS1v1_5).rawRepresentation)
        }
    }

    static func rs384() throws -> TestKey { try rsa(.rs384) }
    static func rs512() throws -> TestKey { try rsa(.rs512) }
    static func ps384() throws -> TestKey { try rsa(.ps384) }
    static func ps512() throws -> TestKey { try rsa(.ps512) }

    private static func rsa(_ algorithm: SignatureAlgorithm) throws -> TestKey {
        let key = try rsa.get()
        var jwk = try VerificationKey(id: "krsa", rs256: key.publicKey).publicJWK
        jwk["alg"] = .string(algorithm.rawValue)
        let padding: _RSA.Signing.Padding = [.ps384, .ps512].contains(algorithm) ? .PSS : .insecurePKCS1v1_5
        let isLong = [.rs512, .ps512].contains(algorithm)
        return TestKey(verification: try VerificationKey(jwk: jwk, as: algorithm)) {
            let signature =
                isLong
                ? try key.signature(for: SHA512.hash(data: $0), padding: padding)
                : try key.signature(for: SHA384.hash(data: $0), padding: padding)
            return Array(signature.rawRepresentation)
        }
    }

    static func ps256(_ id: Identifier = "kps") throws -> TestKey {
        let key = try rsa.get()
        return TestKey(verification: try VerificationKey(id: id, ps256: key.publicKey)) {
            Array(try key.signature(for: SHA256.hash(data: $0), padding: .PSS).rawRepresentation)
        }
    }
}

/// A token to be, and everything around it that the decision depends on.
struct Presented {
    static let now: Int64 = 1_800_000_000
    static let issuer: Identifier = "https://issuer.example"

    var header: JSONObject
    var claims: JSONObject
    var key: TestKey
    var keys: [TestKey]
    var requirements = TokenRequirements(audience: .anyOf(["orders"]), scope: ScopeSet(["orders:read"]))
    var revoked: [RevocationEntry] = []
    var isSignatureBroken = false
    var leeway = Duration.seconds(60)
    var lifetimeMax: Duration?

    /// Good in every respect.
    init(_ key: TestKey? = nil) throws {
        let key = try key ?? TestKey.es256()
        self.key = key
        self.keys = [key, try TestKey.es256("k2", seed: 11)]
        self.header = JSONObject([
            ("alg", .string(key.verification.algorithm.rawValue)), ("typ", "at+jwt"), ("kid", .string(key.id.text)),
        ])
        self.claims = JSONObject([
            ("iss", .string(Presented.issuer.text)), ("sub", "alice"), ("aud", "orders"), ("client_id", "web"),
            ("iat", .integer(Presented.now - 10)), ("exp", .integer(Presented.now + 600)), ("jti", "t1"),
            ("scope", "orders:read orders:write"), ("sid", "s1"), ("gid", "g1"), ("ver", .array([.integer(3), .integer(5)])),
            ("auth_time", .integer(Presented.now - 100)), ("acr", "1"), ("amr", .array(["pwd"])),
        ])
    }

    func token() throws -> [UInt8] {
        try Presented.token(
            header: JSONValue.object(header).encoded, payload: JSONValue.object(claims).encoded, key: key, isBroken: isSignatureBroken)
    }

    static func token(header: [UInt8], payload: [UInt8], key: TestKey, isBroken: Bool = false) throws -> [UInt8] {
        let input = Base64URL.encodedBytes(header) + [UInt8(ascii: ".")] + Base64URL.encodedBytes(payload)
        var signature = try key.sign(input)
        if isBroken { signature[5] ^= 4 }
        return input + [UInt8(ascii: ".")] + Base64URL.encodedBytes(signature)
    }

    func verifier() throws -> TokenVerifier {
        let verifier = TokenVerifier(
            rules: TokenRules(issuer: Presented.issuer, leeway: leeway, lifetimeMax: lifetimeMax), cacheBytesMax: 1_000_000,
            maxStaleness: .seconds(30)
        )
        verifier.setKeys(try KeySet(keys: keys.map(\.verification)))
        let isTaken = verifier.revocations.replace(revoked, through: RevocationPosition(epoch: "e", sequence: 1), sentAt: .zero)
        #expect(isTaken)
        return verifier
    }

    /// The answer, asked for three times: seen first, remembered, and explained. They never differ (GW-21).
    func outcome() throws -> String {
        let verifier = try verifier()
        let token = try token()
        let first = verifier.outcome(token, requirements)
        #expect(verifier.outcome(token, requirements) == first)
        var explanation: TokenExplanation? = TokenExplanation()
        let explained = verifier.outcome(token, requirements, explaining: &explanation)
        #expect(explained == first)
        #expect(explanation?.checks.last?.passed == (first == "accept"))
        #expect(explanation?.checks.dropLast().allSatisfy { $0.passed } == true)
        return first
    }
}

extension Uptime {
    static let zero = Uptime(nanoseconds: 0)
    static func seconds(_ seconds: UInt64) -> Uptime { Uptime(nanoseconds: seconds * 1_000_000_000) }
}

extension TokenVerifier {
    func outcome(_ token: [UInt8], _ requirements: TokenRequirements, at now: Instant = Instant(seconds: Presented.now)) -> String {
        var explanation: TokenExplanation?
        return outcome(token, requirements, at: now, explaining: &explanation)
    }

    func outcome(
        _ token: [UInt8], _ requirements: TokenRequirements, at now: Instant = Instant(seconds: Presented.now), uptime: Uptime = .zero,
        whenStale: StalePolicy = .refuse, explaining explanation: inout TokenExplanation?
    ) -> String {
        decide(token, for: requirements, now: now, uptime: uptime, whenStale: whenStale, explaining: &explanation).name
    }
}

extension TokenDecision {
    var name: String {
        switch self {
        case .accept: "accept"
        case .refuse(let reason): reason.rawValue
        case .ask(.staleRevocations): "ask stale"
        case .ask(.unknownKey(let id)): "ask \(id)"
        case .unavailable: "unavailable"
        case .overloaded: "overloaded"
        }
    }

    var accepted: AccessToken? { if case .accept(let token) = self { token } else { nil } }
}

extension JSONValue: ExpressibleByStringLiteral {
    init(stringLiteral text: String) { self = .string(text) }
}

extension JSONValue {
    static func integer(_ value: Int64) -> JSONValue { .number(JSONNumber(value)) }
}

/// Reads JSON that a test has written down.
func json(_ text: String) throws -> JSONValue { try JSONReader.read(text) }

func jsonObject(_ text: String) throws -> JSONObject { try #require(try JSONReader.read(text).object) }
