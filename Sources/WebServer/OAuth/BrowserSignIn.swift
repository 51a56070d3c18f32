package import Accounts
internal import AuthCore
internal import OAuthServer
package import Store

/// Signs somebody in in a browser: the same way of proving as `POST /login`, with a cookie instead of tokens.
package struct BrowserSignIn: Sendable {
    private let signIn: PasswordSignIn
    private let store: any BrowserSessionStore
    private let lifetime: Duration

    package init(signIn: PasswordSignIn, store: any BrowserSessionStore, lifetime: Duration) {
        self.signIn = signIn
        self.store = store
        self.lifetime = lifetime
    }

    enum Outcome {
        /// The session, its cookie, and the secrets that stood for it before.
        case signedIn(BrowserSession, cookie: Secret<String>, renewed: [Secret<String>])
        /// What the person reads.
        case refused(String)
    }

    func signIn(
        username: String, password: Secret<String>, clientID: Identifier?, sessions: [AuthorizePages.HeldSession], request: APIRequest,
        cookie: Secret<String>
    ) async throws(OAuthError) -> Outcome {
        guard !username.isEmpty, !password.exposed.isEmpty else { return .refused("Enter your user name and your password.") }
        guard username.utf8.count <= 1_024, password.exposed.utf8.count <= 4_096 else {
            return .refused("The user name or the password is wrong.")
        }
        let client = clientID ?? Client.builtInID
        let attempt = PasswordSignIn.Attempt(
            username: username, password: password, source: request.client, clientID: client, traceID: request.traceID)
        let (account, assurance): (Account, SessionAssurance)
        switch await signIn.attempt(attempt, at: request.now) {
        case .proved(let found, let proved): (account, assurance) = (found, proved)
        case .refused: return .refused("The user name or the password is wrong.")
        case .throttled(let wait): return .refused("Too many attempts. Try again in \(BrowserSignIn.text(wait)).")
        case .overloaded: throw OAuthError(.temporarilyUnavailable, .storeOverloaded, "Too many people are signing in. Try again soon.")
        case .unavailable(let error): throw OAuthError(storeError: error)
        }
        let held = sessions.filter { $0.session.account.id == account.id }
        let open = OpenBrowserSession(
            account: account, clientID: client, assurance: assurance, cookieHash: BrowserCookies.hash(cookie),
            continues: held.first?.session.session.id, lifetime: lifetime, source: request.source, agent: request.agent)
        let event = AuditEvent(
            .signIn, at: request.now, accountID: account.id, clientID: client, source: request.source,
            reason: assurance.amr.joined(separator: "+"), traceID: request.traceID)
        let outcome: BrowserSessionOutcome
        do { outcome = try await store.open(open, at: request.now, event: event) } catch { throw OAuthError(storeError: error) }
        switch outcome {
        case .opened(let session):
            return .signedIn(BrowserSession(session: session, account: account), cookie: cookie, renewed: held.map(\.secret))
        case .accountChanged: return .refused("The account changed while signing in. Try again.")
        }
    }

    static func text(_ wait: Duration) -> String {
        let seconds = max(1, wait.wholeSeconds)
        return seconds < 90 ? "\(seconds) seconds" : "\((seconds + 59) / 60) minutes"
    }
}
