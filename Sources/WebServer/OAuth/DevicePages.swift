internal import Accounts
internal import AuthCore
internal import OAuthServer
internal import Store

/// The pages of the device flow (RFC 8628 §3.3): the code, then whoever signs in as on the way of an authorization request, then the
/// question.
extension AuthorizePages {
    static let deviceConfirmPath = ServerMetadata.Path.device + "/confirm"

    var deviceEndpoints: [Endpoint] {
        [
            Endpoint("GET", ServerMetadata.Path.device, isPage: true) { (request) throws(APIError) in await enterCode(request) },
            Endpoint("POST", ServerMetadata.Path.device, reads: .form, isPage: true) { (request) throws(APIError) in
                await findDevice(request)
            },
            Endpoint("POST", AuthorizePages.deviceConfirmPath, reads: .form, isPage: true) { (request) throws(APIError) in
                await confirmDevice(request)
            },
        ]
    }

    private func enterCode(_ request: APIRequest) async -> ResponseFacts {
        do throws(OAuthError) {
            let code = try request.query().optional("user_code", bytesMax: 64)
            return codePage(server.devices.begin(at: request.now), request, code: code)
        } catch { return refused(error, request) }
    }

    private func findDevice(_ request: APIRequest) async -> ResponseFacts {
        do throws(OAuthError) {
            let (form, state) = try guarded(request)
            guard state.isDevice else { throw AuthorizePages.foreign }
            let typed = form["user_code"] ?? ""
            guard let code = UserCode(typed: typed) else {
                return codePage(state, request, code: nil, problem: "A code has eight letters, as in WDJB-MJHT. Look at your device again.")
            }
            let sessions = try await sessions(request).map(\.session.session.id)
            do {
                switch try await guesses.attempt(source: request.client, sessions: sessions, at: request.now) {
                case .delayed(let wait):
                    return codePage(
                        state, request, code: code.shown, problem: "Too many attempts. Try again in \(BrowserSignIn.text(wait)).")
                case .allowed(let ticket):
                    guard let found = try await server.devices.found(code, state, at: request.now) else {
                        return codePage(
                            state, request, code: code.shown,
                            problem: "No device waits with this code. It may have expired: look at your device again.")
                    }
                    try await guesses.wasRight(ticket, at: request.now)
                    return try seeOther(found, request)
                }
            } catch {
                switch error {
                case let refusal as OAuthError: throw refusal
                case let failure as StoreError: throw OAuthError(storeError: failure)
                default: throw AuthorizePages.foreign
                }
            }
        } catch { return refused(error, request) }
    }

    private func confirmDevice(_ request: APIRequest) async -> ResponseFacts {
        do throws(OAuthError) {
            let (form, state) = try guarded(request)
            guard state.isDevice, state.shown != nil, let answer = form["answer"] else { throw AuthorizePages.foreign }
            return try await device(state, request, agreed: answer.isSameBytes(as: "allow"))
        } catch { return refused(error, request) }
    }

    /// Only where the code was typed: a link to the question would spare whoever sends it to somebody the hardest step (RFC 8628 §5.4).
    func resumeDevice(_ state: InteractionState, _ request: APIRequest) async throws(OAuthError) -> ResponseFacts {
        guard let browser = cookies.knownBrowser(request), let token = try request.query().optional("form", bytesMax: 128),
            server.forms.isGood(token, state.id, browser: browser)
        else { throw AuthorizePages.foreign }
        return try await device(state, request)
    }

    /// The next page of the way of a device.
    func device(
        _ state: InteractionState, _ request: APIRequest, agreed: Bool? = nil, problem: String? = nil, username: String? = nil
    ) async throws(OAuthError) -> ResponseFacts {
        let outcome = try await server.devices.proceed(state, try await browser(request), agreed: agreed, at: request.now)
        return devicePage(outcome, request, problem: problem, username: username)
    }

    func devicePage(
        _ outcome: DeviceOutcome, _ request: APIRequest, problem: String? = nil, username: String? = nil
    ) -> ResponseFacts {
        switch outcome {
        case .signIn(let state, let client, let again):
            return form(state, request) { form in
                SignInPage(
                    form: form, client: client, account: again?.account, username: username ?? again?.account.username, problem: problem
                ).render()
            }
        case .chooseAccount(let state, let client, let sessions):
            return form(state, request) { form in ChooseAccountPage(form: form, client: client, sessions: sessions).render() }
        case .confirm(let state, let question):
            return form(state, request) { form in
                ConfirmDevicePage(form: form, question: question).render()
            }
        case .answered(let isAllowed, let client):
            return DeviceAnsweredPage(isAllowed: isAllowed, client: client.displayName).render().response(200)
        }
    }

    private func codePage(_ state: InteractionState, _ request: APIRequest, code: String?, problem: String? = nil) -> ResponseFacts {
        form(state, request) { form in DeviceCodePage(form: form, code: code, problem: problem).render() }
    }
}
