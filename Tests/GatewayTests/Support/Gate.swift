import AuthCore
import Crypto
import Gateway
import Store
import Synchronization
import TokenVerification

/// A gateway in a test: one signing key, chosen clocks, routes as the test likes them.
final class Gate: Sendable {
    static let now = Instant(seconds: 1_800_000_000)

    let key = P256.Signing.PrivateKey()
    let state: GatewayState
    let verifier: TokenVerifier
    let decider: AccessDecider
    private let clock: Mutex<(now: Instant, uptime: Uptime)>

    init(
        _ routes: [RouteDefinition], resources: [ResourceDefinition] = [.of("orders", "orders:read", "orders:write")],
        whenStale: WhenStale = .refuse, asksForUnknownKeys: Bool = false, identityTokensMax: Int = AccessDecider.identityTokensMaxDefault,
        identityToken: IdentityTokenSigner? = nil
    ) throws {
        state = GatewayState(routes: try RouteTable(routes: routes, resources: resources))
        verifier = TokenVerifier(
            rules: TokenRules(issuer: "https://issuer.test"), cacheBytesMax: 1_000_000, maxStaleness: .seconds(30),
            asksForUnknownKeys: asksForUnknownKeys)
        verifier.setKeys(try KeySet(keys: [VerificationKey(id: "k1", es256: key.publicKey)]))
        _ = verifier.revocations.replace([], through: RevocationPosition(epoch: "e", sequence: 1), sentAt: Uptime(nanoseconds: 0))
        let time = Box((now: Gate.now, uptime: Uptime(nanoseconds: 0)))
        clockBox = time
        decider = AccessDecider(
            state: state, verifier: verifier, whenStale: whenStale,
            environment: Environment(
                now: { time.value.now }, uptime: { time.value.uptime }, randomBytes: { Array(repeating: 0xAB, count: $0) }),
            identityToken: identityToken, identityTokensMax: identityTokensMax)
    }
}
