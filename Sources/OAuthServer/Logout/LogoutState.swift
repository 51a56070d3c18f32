package import AuthCore
package import TokenKeys

/// A request to sign out on its way through the confirmation page, sealed, so that what is agreed to is what was asked.
package struct LogoutState: Sendable {
    /// The request as it came, to be read and checked again.
    package let query: String
    /// Random; the form is bound to it.
    package let id: Identifier
    package let startedAt: Instant

    package static let bytesMax = 131_072
    /// How long somebody may look at the page.
    package static let lifetime = Duration.seconds(3_600)
    private static let context = "logout"

    package init(query: String, id: Identifier, startedAt: Instant) {
        self.query = query
        self.id = id
        self.startedAt = startedAt
    }

    package func sealed(_ keys: MasterKeys) throws(OAuthError) -> String {
        let object = JSONObject([
            ("q", .string(query)), ("id", .string(id.text)), ("t", .number(JSONNumber(startedAt.milliseconds))),
        ])
        do {
            let bytes = try keys.seal(Secret(JSONValue.object(object).encoded), for: .interactions, context: LogoutState.context)
            return Base64URL.encode(bytes)
        } catch { throw OAuthError(.serverError, .signingUnavailable, "This cannot be done now.") }
    }

    /// - Throws: `form_expired` for one that is too old, `form_foreign` for one that is not ours.
    package init(sealed text: String, _ keys: MasterKeys, at now: Instant) throws(OAuthError) {
        guard text.utf8.count <= LogoutState.bytesMax, let bytes = Base64URL.decode(text) else { throw LogoutState.foreign }
        let plain: Secret<[UInt8]>
        do { plain = try keys.open(bytes, for: .interactions, context: LogoutState.context) } catch { throw LogoutState.foreign }
        guard let object = (try? JSONReader.read(plain.exposed))?.object, let query = object["q"]?.string,  // made here, by this very code
            let id = object["id"]?.string, let started = object["t"]?.int
        else { throw LogoutState.foreign }
        self.init(query: query, id: Identifier(id), startedAt: Instant(milliseconds: started))
        guard now - startedAt <= LogoutState.lifetime else {
            throw OAuthError(.invalidRequest, .formExpired, "This took too long. Sign out once more.")
        }
    }

    package static let foreign = OAuthError(
        .invalidRequest, .formForeign, "This page does not belong to a sign-out that was begun here. Begin again.")
}
