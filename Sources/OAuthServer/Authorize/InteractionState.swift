package import AuthCore
internal import Crypto
package import TokenKeys

/// An authorization request on its way through the pages: what the browser carries from one step to the next, sealed, so that nothing of
/// it is stored until somebody has signed in and agreed, and nothing of it can be changed between what is shown and what is granted.
///
/// Whether a step is done is not asked of the browser: it is decided anew, each time, from sessions and consents in the store. What stands
/// here of progress are only the sessions that were opened or chosen on this way.
package struct InteractionState: Sendable {
    /// The request as it came, to be read and checked again at every step.
    package var query: String
    /// Random; forms are bound to it.
    package let id: Identifier
    package let startedAt: Instant
    /// Whether the request was an object that its client has signed: what stands in `query` is what was in it.
    package var isSigned = false
    /// Whether this is the way of a device (RFC 8628 §3.3), whose code stands in `query` once it was found.
    package var isDevice = false
    /// The session that was opened or renewed on this way.
    package var signedIn: Identifier?
    /// The session that was chosen among several.
    package var chosen: Identifier?
    /// Somebody else is to sign in than those who are.
    package var wantsAnother = false
    /// What the consent page showed; nothing else can be agreed to.
    package var shown: ScopeSet?

    /// How long somebody may take from the first page to the last.
    package static let lifetime = Duration.seconds(3_600)
    private static let context = "interaction"

    package init(query: String, id: Identifier, startedAt: Instant) {
        self.query = query
        self.id = id
        self.startedAt = startedAt
    }

    package func sealed(_ keys: MasterKeys) throws(OAuthError) -> String {
        var object = JSONObject([
            ("q", .string(query)), ("id", .string(id.text)), ("t", .number(JSONNumber(startedAt.milliseconds))),
        ])
        if isSigned { object["r"] = .bool(true) }
        if isDevice { object["d"] = .bool(true) }
        object["s"] = signedIn.map { .string($0.text) }
        object["c"] = chosen.map { .string($0.text) }
        if wantsAnother { object["o"] = .bool(true) }
        object["w"] = shown.map { .string($0.description) }
        do {
            let bytes = try keys.seal(Secret(JSONValue.object(object).encoded), for: .interactions, context: InteractionState.context)
            return Base64URL.encode(bytes)
        } catch { throw OAuthError(.serverError, .signingUnavailable, "This cannot be done now.") }
    }

    /// - Throws: `form_expired` for one that is too old, `form_foreign` for one that is not ours.
    package init(sealed text: String, _ keys: MasterKeys, at now: Instant) throws(OAuthError) {
        let foreign = OAuthError(.invalidRequest, .formForeign, "This page does not belong to a sign-in that was begun here. Begin again.")
        guard text.utf8.count <= 131_072, let bytes = Base64URL.decode(text) else { throw foreign }
        let plain: Secret<[UInt8]>
        do { plain = try keys.open(bytes, for: .interactions, context: InteractionState.context) } catch { throw foreign }
        guard let object = (try? JSONReader.read(plain.exposed))?.object, let query = object["q"]?.string,  // made here, by this very code
            let id = object["id"]?.string, let started = object["t"]?.int
        else { throw foreign }
        self.init(query: query, id: Identifier(id), startedAt: Instant(milliseconds: started))
        isSigned = object["r"]?.bool ?? false
        isDevice = object["d"]?.bool ?? false
        signedIn = object["s"]?.string.map { Identifier($0) }
        chosen = object["c"]?.string.map { Identifier($0) }
        wantsAnother = object["o"]?.bool ?? false
        shown = object["w"]?.string.flatMap { ScopeSet(parsing: $0) }
        guard now - startedAt <= InteractionState.lifetime else {
            throw OAuthError(.invalidRequest, .formExpired, "This took too long. Go back to the application and begin again.")
        }
    }
}

/// Binds a form to one browser and one step (RFC 9700 §4.7): a form that was made for another browser, or for another way, is refused.
package struct FormTokens: Sendable {
    private let keys: MasterKeys

    package init(keys: MasterKeys) { self.keys = keys }

    /// - Parameter browser: The secret in the browser's cookie.
    package func token(_ subject: Identifier, browser: Secret<String>) -> String { token(subject, browser, key: 0) }

    package func isGood(_ token: String, _ subject: Identifier, browser: Secret<String>) -> Bool {
        (0..<keys.count).contains { isEqualInConstantTime(self.token(subject, browser, key: $0).utf8, token.utf8) }
    }

    private func token(_ subject: Identifier, _ browser: Secret<String>, key: Int) -> String {
        let message = Array(browser.exposed.utf8) + [0] + Array(subject.text.utf8)
        return Base64URL.encode(Array(HMAC<SHA256>.authenticationCode(for: message, using: keys.subkey(.forms, of: key))))
    }
}
