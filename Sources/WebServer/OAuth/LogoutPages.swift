internal import AuthCore
package import OAuthServer
package import Store
package import TokenKeys

/// The end session endpoint in a browser (RP-Initiated Logout §2): pages, forms and cookies around `LogoutEndpoint`.
package struct LogoutPages: Sendable {
    private let server: OAuthServer
    private let store: any BrowserSessionStore
    private let masterKeys: MasterKeys
    private let cookies: BrowserCookies

    package init(server: OAuthServer, store: any BrowserSessionStore, masterKeys: MasterKeys, cookies: BrowserCookies) {
        self.server = server
        self.store = store
        self.masterKeys = masterKeys
        self.cookies = cookies
    }

    private static let resumePath = ServerMetadata.Path.endSession + "/resume"
    static let confirmPath = ServerMetadata.Path.endSession + "/confirm"

    package var endpoints: [Endpoint] {
        [
            Endpoint("GET", ServerMetadata.Path.endSession, isPage: true) { (request) throws(APIError) in await begin(request) },
            Endpoint("POST", ServerMetadata.Path.endSession, reads: .form, isPage: true) { (request) throws(APIError) in
                await beginByForm(request)
            },
            Endpoint("GET", LogoutPages.resumePath, isPage: true) { (request) throws(APIError) in await resume(request) },
            Endpoint("POST", LogoutPages.confirmPath, reads: .form, isPage: true) { (request) throws(APIError) in await confirm(request) },
        ]
    }

    private func begin(_ request: APIRequest) async -> ResponseFacts {
        do throws(OAuthError) {
            return try await proceed(server.logout.state(try request.query(), at: request.now), request, confirmed: nil)
        } catch { return ErrorPage.response(error, request) }
    }

    private func beginByForm(_ request: APIRequest) async -> ResponseFacts {
        do throws(OAuthError) {
            let state = server.logout.state(try request.form(), at: request.now)
            // With a form of another site no cookie of ours comes (SameSite=Lax); with the GET that follows it does.
            if cookies.sessions(request).isEmpty {
                return Page.redirect("\(LogoutPages.resumePath)?logout=\(try state.sealed(masterKeys))")
            }
            return try await proceed(state, request, confirmed: nil)
        } catch { return ErrorPage.response(error, request) }
    }

    private func resume(_ request: APIRequest) async -> ResponseFacts {
        do throws(OAuthError) {
            let sealed = try request.query().required("logout", bytesMax: LogoutState.bytesMax)
            return try await proceed(try LogoutState(sealed: sealed, masterKeys, at: request.now), request, confirmed: nil)
        } catch { return ErrorPage.response(error, request) }
    }

    /// The answer to the question, when it comes from the page that this browser was shown (LO-03, CK-05).
    private func confirm(_ request: APIRequest) async -> ResponseFacts {
        do throws(OAuthError) {
            guard request.isFromHere else { throw LogoutState.foreign }
            let form = try request.form()
            let state = try LogoutState(
                sealed: try form.required("interaction", bytesMax: LogoutState.bytesMax), masterKeys, at: request.now)
            guard let browser = cookies.knownBrowser(request), let token = form["form"],
                server.forms.isGood(token, state.id, browser: browser), let answer = form["answer"]
            else { throw LogoutState.foreign }
            return try await proceed(state, request, confirmed: answer.isSameBytes(as: "sign-out"))
        } catch { return ErrorPage.response(error, request) }
    }

    private func proceed(_ state: LogoutState, _ request: APIRequest, confirmed: Bool?) async throws(OAuthError) -> ResponseFacts {
        let held = try await cookies.held(by: request, in: store)
        let browser = Browser(sessions: held.map(\.session), source: request.source, traceID: request.traceID)
        switch await server.logout.proceed(state, browser, confirmed: confirmed, at: request.now) {
        case .confirm(let state, let sessions, let target):
            let secret = cookies.browser(request)
            let part = FormPart(
                interaction: try state.sealed(masterKeys), token: server.forms.token(state.id, browser: secret.secret))
            return ConfirmLogoutPage(form: part, sessions: sessions).render().response(
                200, formTargets: target?.policySources ?? [], headers: secret.header.map { [$0] } ?? [])
        case .signedOut(let signedOut):
            let left = held.filter { !signedOut.sessions.contains($0.session.session.id) }.map(\.secret)
            // Also what stands for nothing any more goes.
            let headers = cookies.sessions(request).isEmpty ? [] : [cookies.header(left)]
            if let target = signedOut.target, signedOut.frames.isEmpty { return Page.redirect(target.location, headers: headers) }
            return SignedOutPage(signedOut: signedOut).render().response(200, headers: headers)
        case .stayed: return StayedPage().render().response(200)
        case .refused(let error): return ErrorPage.response(error, request)
        }
    }
}

extension BrowserCookies {
    /// The live sessions that the browser holds, the one used last first.
    func held(by request: APIRequest, in store: any BrowserSessionStore) async throws(OAuthError) -> [AuthorizePages.HeldSession] {
        var held: [AuthorizePages.HeldSession] = []
        for secret in sessions(request) {
            let found: BrowserSession?
            do { found = try await store.browserSession(cookieHash: BrowserCookies.hash(secret), at: request.now) } catch {
                throw OAuthError(storeError: error)
            }
            if let found { held.append(AuthorizePages.HeldSession(session: found, secret: secret)) }
        }
        return held
    }
}

extension APIRequest {
    /// Whether the browser says that a page of ours, or nobody, has sent this; a browser that says nothing is believed (CK-05).
    var isFromHere: Bool {
        guard let site = facts.headers.text("sec-fetch-site") else { return true }
        return ["same-origin", "none"].contains { $0.isSameBytes(as: site) }
    }
}

extension ErrorPage {
    static func response(_ error: OAuthError, _ request: APIRequest) -> ResponseFacts {
        let status = error.code == .temporarilyUnavailable ? 503 : error.code == .serverError ? 500 : 400
        var response = ErrorPage(error: error, traceID: request.traceID).render().response(status)
        if status == 503 { response.headers.append(("retry-after", "1")) }
        return response
    }
}
