package import Accounts
package import AuthCore
package import OAuthServer
package import Store
package import TokenKeys

/// The authorization endpoint in a browser: pages, forms and cookies around `AuthorizeEndpoint`. Each form comes back here, changes what is
/// stored, and the way is decided anew.
package struct AuthorizePages: Sendable {
    let server: OAuthServer
    private let signIn: BrowserSignIn
    private let store: any BrowserSessionStore
    private let masterKeys: MasterKeys
    let cookies: BrowserCookies
    let guesses: UserCodeGuesses

    package init(
        server: OAuthServer, signIn: BrowserSignIn, store: any BrowserSessionStore, masterKeys: MasterKeys, cookies: BrowserCookies,
        guesses: UserCodeGuesses
    ) {
        self.guesses = guesses
        self.server = server
        self.signIn = signIn
        self.store = store
        self.masterKeys = masterKeys
        self.cookies = cookies
    }

    package static let resumePath = "/authorize/resume"

    package var endpoints: [Endpoint] {
        [
            Endpoint("GET", ServerMetadata.Path.authorize, isPage: true) { (request) throws(APIError) in
                await begin(request) { () throws(OAuthError) in try request.query() }
            },
            Endpoint("POST", ServerMetadata.Path.authorize, reads: .form, isPage: true) { (request) throws(APIError) in
                await beginByForm(request)
            },
            Endpoint("GET", AuthorizePages.resumePath, isPage: true) { (request) throws(APIError) in await resume(request) },
            Endpoint("POST", "/sign-in", reads: .form, isPage: true) { (request) throws(APIError) in await signIn(request) },
            Endpoint("POST", "/choose-account", reads: .form, isPage: true) { (request) throws(APIError) in await choose(request) },
            Endpoint("POST", "/consent", reads: .form, isPage: true) { (request) throws(APIError) in await consent(request) },
        ] + deviceEndpoints
    }

    private func begin(_ request: APIRequest, _ read: () throws(OAuthError) -> FormParameters) async -> ResponseFacts {
        do throws(OAuthError) {
            let parameters = try read()
            let browser = try await browser(request)
            return page(await server.authorize.begin(parameters, browser, at: request.now), request)
        } catch { return refused(error, request) }
    }

    private func beginByForm(_ request: APIRequest) async -> ResponseFacts {
        do throws(OAuthError) {
            // With a form of another site no cookie of ours comes (SameSite=Lax); with the GET that follows it does.
            if cookies.knownBrowser(request) == nil,
                let state = await server.authorize.state(try request.form(), at: request.now)
            {
                return try seeOther(state, request)
            }
        } catch { return refused(error, request) }
        return await begin(request) { () throws(OAuthError) in try request.form() }
    }

    /// After a form: what comes next is asked with GET, so that going back or reloading sends no form twice.
    private func resume(_ request: APIRequest) async -> ResponseFacts {
        do throws(OAuthError) {
            let sealed = try request.query().required("interaction", bytesMax: 131_072)
            let state = try InteractionState(sealed: sealed, masterKeys, at: request.now)
            if state.isDevice { return try await resumeDevice(state, request) }
            let browser = try await browser(request)
            return page(await server.authorize.proceed(state, browser, agreed: nil, at: request.now), request)
        } catch { return refused(error, request) }
    }

    private func signIn(_ request: APIRequest) async -> ResponseFacts {
        do throws(OAuthError) {
            let (form, state) = try guarded(request)
            if form["cancel"] != nil { return try await cancelled(state, request) }
            let username = form["username"] ?? ""
            let held = cookies.sessions(request)
            let outcome = try await signIn.signIn(
                username: username, password: Secret(form["password"] ?? ""), clientID: nil, sessions: try await sessions(request),
                request: request, cookie: cookies.newSession())
            switch outcome {
            case .signedIn(let session, let cookie, let renewed):
                var state = state
                state.signedIn = session.session.id
                let others = held.filter { secret in !renewed.contains { $0.isSame(as: secret) } }
                return try seeOther(state, request, headers: [cookies.header([cookie] + others)])
            case .refused(let problem):
                if state.isDevice { return try await device(state, request, problem: problem, username: username) }
                let browser = try await browser(request)
                return page(
                    await server.authorize.proceed(state, browser, agreed: nil, at: request.now), request, problem: problem,
                    username: username)
            }
        } catch { return refused(error, request) }
    }

    private func choose(_ request: APIRequest) async -> ResponseFacts {
        do throws(OAuthError) {
            let (form, begun) = try guarded(request)
            if form["cancel"] != nil { return try await cancelled(begun, request) }
            var state = begun
            // Whoever signed in on this way before has ended, or there was nothing to choose.
            state.signedIn = nil
            if let id = form["session"] {
                state.chosen = Identifier(id)
            } else {
                state.wantsAnother = true
            }
            return try seeOther(state, request)
        } catch { return refused(error, request) }
    }

    private func cancelled(_ state: InteractionState, _ request: APIRequest) async throws(OAuthError) -> ResponseFacts {
        if state.isDevice { return devicePage(try await server.devices.cancel(state, at: request.now), request) }
        return page(await server.authorize.cancel(state, at: request.now), request)
    }

    private func consent(_ request: APIRequest) async -> ResponseFacts {
        do throws(OAuthError) {
            let (form, state) = try guarded(request)
            guard !state.isDevice, state.shown != nil, let answer = form["answer"] else { throw AuthorizePages.foreign }
            let browser = try await browser(request)
            return page(
                await server.authorize.proceed(state, browser, agreed: answer.isSameBytes(as: "allow"), at: request.now), request)
        } catch { return refused(error, request) }
    }
}

extension AuthorizePages {
    /// A live session of this browser, and the secret that stands for it.
    package struct HeldSession: Sendable {
        package let session: BrowserSession
        package let secret: Secret<String>
    }

    func sessions(_ request: APIRequest) async throws(OAuthError) -> [HeldSession] {
        try await cookies.held(by: request, in: store)
    }

    func browser(_ request: APIRequest) async throws(OAuthError) -> Browser {
        Browser(sessions: try await sessions(request).map(\.session), source: request.source, traceID: request.traceID)
    }

    /// The form, when it was made for this browser and sent from a page of ours (CK-05, CK-06).
    func guarded(_ request: APIRequest) throws(OAuthError) -> (FormParameters, InteractionState) {
        guard request.isFromHere else { throw AuthorizePages.foreign }
        let form = try request.form()
        let state = try InteractionState(sealed: try form.required("interaction", bytesMax: 131_072), masterKeys, at: request.now)
        guard let browser = cookies.knownBrowser(request), let token = form["form"],
            server.forms.isGood(token, state.id, browser: browser)
        else { throw AuthorizePages.foreign }
        return (form, state)
    }

    static let foreign = OAuthError(
        .invalidRequest, .formForeign, "This page does not belong to a sign-in that was begun here. Begin again.")

    func seeOther(
        _ state: InteractionState, _ request: APIRequest, headers: [(name: String, value: String)] = []
    ) throws(OAuthError) -> ResponseFacts {
        var location = "\(AuthorizePages.resumePath)?interaction=\(try state.sealed(masterKeys))"
        if state.isDevice, let browser = cookies.knownBrowser(request) {
            location += "&form=\(server.forms.token(state.id, browser: browser))"
        }
        return Page.redirect(location, headers: headers)
    }

    private func page(
        _ outcome: AuthorizeOutcome, _ request: APIRequest, problem: String? = nil, username: String? = nil
    ) -> ResponseFacts {
        switch outcome {
        case .signIn(let page, let again):
            return form(page.state, request, page.request.target) { form in
                SignInPage(
                    form: form, client: page.request.client, account: again?.account,
                    username: username ?? again?.account.username ?? page.request.loginHint, problem: problem
                ).render()
            }
        case .chooseAccount(let page, let sessions):
            return form(page.state, request, page.request.target) { form in
                ChooseAccountPage(form: form, client: page.request.client, sessions: sessions).render()
            }
        case .consent(let page, let question):
            return form(page.state, request, page.request.target) { form in
                ConsentPage(form: form, request: page.request, question: question).render()
            }
        case .respond(let response): return respond(response)
        case .offer(let response):
            let status = response.refusal?.reason == .deniedByUser ? 200 : 400
            return OfferPage(response: response).render().response(status, formTargets: response.target.policySources)
        case .refused(let error): return refused(error, request)
        }
    }

    /// - Parameter target: Where the way leads in the end, when it leads away.
    func form(
        _ state: InteractionState, _ request: APIRequest, _ target: RedirectTarget? = nil, _ render: (FormPart) -> Page
    ) -> ResponseFacts {
        let browser = cookies.browser(request)
        do throws(OAuthError) {
            let part = FormPart(
                interaction: try state.sealed(masterKeys), token: server.forms.token(state.id, browser: browser.secret))
            return render(part).response(
                200, formTargets: target.map { $0.policySources } ?? [], headers: browser.header.map { [$0] } ?? [])
        } catch { return refused(error, request) }
    }

    private func respond(_ response: AuthorizationResponse) -> ResponseFacts {
        guard response.mode.isForm else { return Page.redirect(response.location) }
        return FormPostPage(response: response).render().response(200, formTargets: response.target.policySources)
    }

    func refused(_ error: OAuthError, _ request: APIRequest) -> ResponseFacts { ErrorPage.response(error, request) }
}

extension APIRequest {
    /// The parameters of the query.
    func query() throws(OAuthError) -> FormParameters {
        do { return try FormParameters(facts.query ?? []) } catch { throw OAuthError(error) }
    }
}
