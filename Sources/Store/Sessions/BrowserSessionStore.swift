package import AuthCore

/// A sign-in in a browser, which a cookie stands for.
package struct OpenBrowserSession: Sendable {
    package var accountID: Identifier
    /// The epoch that the caller saw when it verified the factors.
    package var accountEpoch: Int64
    package var clientID: Identifier
    package var assurance: SessionAssurance
    /// SHA-256 of the new cookie.
    package var cookieHash: [UInt8]
    /// The session of the same account that this sign-in renews: it keeps its `sid` and its grants and gets another cookie.
    package var continues: Identifier?
    package var lifetime: Duration
    package var source: String
    package var agent: String

    package init(
        account: Account, clientID: Identifier, assurance: SessionAssurance, cookieHash: [UInt8], continues: Identifier?,
        lifetime: Duration, source: String, agent: String
    ) {
        (accountID, accountEpoch) = (account.id, account.epoch)
        self.clientID = clientID
        self.assurance = assurance
        self.cookieHash = cookieHash
        self.continues = continues
        self.lifetime = lifetime
        self.source = source
        self.agent = agent
    }
}

package enum BrowserSessionOutcome: Sendable {
    case opened(Session)
    /// The account was disabled, deleted or changed since its factors were verified.
    case accountChanged
}

package struct BrowserSession: Sendable {
    package let session: Session
    package let account: Account

    package init(session: Session, account: Account) {
        self.session = session
        self.account = account
    }
}

/// Sessions that browsers hold. What is stored of a cookie is its hash.
package protocol BrowserSessionStore: Sendable {
    /// Opens or renews a session under the lock of its account. A cookie that stood for the renewed session stands for nothing then.
    func open(_ request: OpenBrowserSession, at now: Instant, event: AuditEvent) async throws(StoreError) -> BrowserSessionOutcome
    /// The live session of an enabled account; nothing else is found.
    func browserSession(cookieHash: [UInt8], at now: Instant) async throws(StoreError) -> BrowserSession?
}
