internal import AuthCore
internal import OAuthServer
internal import Store

extension Client {
    /// What people are shown.
    var displayName: String { definition.metadata.name ?? id.text }
}

/// A name that somebody chose, which neither its direction nor its length takes out of its place.
func shownName(_ name: String) -> HTML { "<strong><bdi>\(name)</bdi></strong>" }

struct SignInPage {
    let form: FormPart
    let client: Client
    /// Who is to sign in again; nothing when anybody may.
    let account: Account?
    let username: String?
    let problem: String?

    func render() -> Page {
        let problem: HTML = problem.map { "<p class=\"problem\" role=\"alert\" id=\"problem\">\($0)</p>" } ?? ""
        let described: HTML = self.problem == nil ? "" : " aria-describedby=\"problem\" aria-invalid=\"true\""
        let focusName: HTML = username == nil ? " autofocus" : ""
        let focusPassword: HTML = username == nil ? "" : " autofocus"
        let title = account == nil ? "Sign in" : "Sign in again"
        return Page(
            title: title,
            content: """
                \(client.logo)<h1>\(title)</h1>
                <p class="lead">to continue to \(shownName(client.displayName))</p>
                \(problem)
                <form method="post" action="/sign-in">
                \(form.html)
                <label for="username">User name or e-mail</label>
                <input id="username" name="username" value="\(username ?? "")" dir="auto" autocomplete="username" autocapitalize="none" autocorrect="off" spellcheck="false" required\(focusName)\(described)>
                <label for="password">Password</label>
                <input id="password" name="password" type="password" autocomplete="current-password" required\(focusPassword)\(described)>
                <div class="actions">
                <button type="submit">Sign in</button>
                <button type="submit" name="cancel" value="1" class="plain" formnovalidate>Cancel</button>
                </div>
                </form>\(client.links)
                """)
    }
}

struct ChooseAccountPage {
    let form: FormPart
    let client: Client
    let sessions: [BrowserSession]

    func render() -> Page {
        let choices: [HTML] = sessions.map { session in
            """
            <button type="submit" name="session" value="\(session.session.id.text)" class="choice"><bdi>\(session.account.username)</bdi>\(ChooseAccountPage.address(session.account))</button>

            """
        }
        return Page(
            title: "Choose an account",
            content: """
                <h1>Choose an account</h1>
                <p class="lead">to continue to \(shownName(client.displayName))</p>
                <form method="post" action="/choose-account">
                \(form.html)
                <div class="choices">
                \(choices)
                <button type="submit" name="other" value="1" class="choice">Use another account</button>
                </div>
                <div class="actions">
                <button type="submit" name="cancel" value="1" class="plain">Cancel</button>
                </div>
                </form>
                """)
    }

    /// What tells accounts apart, where the name does not say it already.
    private static func address(_ account: Account) -> HTML {
        guard let email = account.email, !email.isSameBytes(as: account.username) else { return "" }
        return " <span class=\"fine\"><bdi>\(email)</bdi></span>"
    }
}

struct ErrorPage {
    let error: OAuthError
    let traceID: String

    func render() -> Page {
        Page(
            title: "This did not work",
            content: """
                <h1>This did not work</h1>
                <p>\(error.detail)</p>
                <p class="fine">If it happens again, tell those who run the application:<br><code>\(error.code.rawValue)</code>, <code>\(traceID)</code></p>
                """)
    }

    /// For the address of a form that somebody opens as if it were a page.
    ///
    /// - Parameter allow: The methods that are taken there.
    static func alone(allow: String, traceID: String) -> ResponseFacts {
        let error = OAuthError(
            .invalidRequest, .formForeign, "This page cannot be opened by itself. Go back to the application and sign in there.")
        return ErrorPage(error: error, traceID: traceID).render().response(405, headers: [("allow", allow)])
    }
}

/// A refusal on its way to a client that nobody here has checked: the person sees where it leads, and goes there or not (RFC 9700 §4.11.2).
struct OfferPage {
    let response: AuthorizationResponse

    func render() -> Page {
        let detail = response.refusal?.detail ?? ""
        return Page(
            title: "You were not signed in",
            content: """
                <h1>You were not signed in</h1>
                <p>\(detail)</p>
                <p class="fine">\(ConsentPage.place(response.target, "If you go on, you go")) Nobody here has checked this application.</p>
                \(onward)
                """)
    }

    private var onward: HTML {
        guard response.mode.isForm else { return "<p><a href=\"\(response.location)\" rel=\"noopener noreferrer\">Go on</a></p>" }
        return """
            <form method="post" action="\(response.target.uri)">
            \(FormPostPage.fields(response))
            <div class="actions">
            <button type="submit">Go on</button>
            </div>
            </form>
            """
    }
}

/// OAuth 2.0 Form Post Response Mode: sends itself where scripts run, and has a button where they do not.
struct FormPostPage {
    let response: AuthorizationResponse

    static func fields(_ response: AuthorizationResponse) -> [HTML] {
        response.parameters.map { name, value in "<input type=\"hidden\" name=\"\(name)\" value=\"\(value)\">\n" }
    }

    func render() -> Page {
        Page(
            title: "Back to \(response.target.client.displayName)",
            content: """
                <h1>Back to <bdi>\(response.target.client.displayName)</bdi></h1>
                <p class="lead">If nothing happens by itself, go on with the button.</p>
                <form method="post" action="\(response.target.uri)" id="response">
                \(FormPostPage.fields(response))
                <div class="actions">
                <button type="submit">Continue</button>
                </div>
                </form>
                """, sendsForm: true)
    }
}
