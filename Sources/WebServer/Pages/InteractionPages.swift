internal import AuthCore
internal import OAuthServer
internal import Store

extension Client {
    /// What people are shown.
    var displayName: String { definition.metadata.name ?? id.text }
}

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
                <h1>\(title)</h1>
                <p>to continue to <strong>\(client.displayName)</strong></p>
                \(problem)
                <form method="post" action="/sign-in">
                \(form.html)
                <label for="username">User name or e-mail</label>
                <input id="username" name="username" value="\(username ?? "")" autocomplete="username" autocapitalize="none" spellcheck="false" required\(focusName)\(described)>
                <label for="password">Password</label>
                <input id="password" name="password" type="password" autocomplete="current-password" required\(focusPassword)\(described)>
                <button type="submit">Sign in</button>
                <button type="submit" name="cancel" value="1" class="quiet" formnovalidate>Cancel</button>
                </form>
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
            <button type="submit" name="session" value="\(session.session.id.text)" class="choice">\(session.account.username)</button>
            """
        }
        return Page(
            title: "Choose an account",
            content: """
                <h1>Choose an account</h1>
                <p>to continue to <strong>\(client.displayName)</strong></p>
                <form method="post" action="/choose-account">
                \(form.html)
                \(choices)
                <button type="submit" name="other" value="1" class="choice">Use another account</button>
                <button type="submit" name="cancel" value="1" class="quiet">Cancel</button>
                </form>
                """)
    }
}

struct ConsentPage {
    let form: FormPart
    let client: Client
    let question: ConsentQuestion

    func render() -> Page {
        let scopes: [HTML] = question.access.scope.map { "<li>\(ConsentPage.words($0))</li>" }
        return Page(
            title: "Allow access",
            content: """
                <h1>Allow access</h1>
                <p><strong>\(client.displayName)</strong> asks to use your account <strong>\(question.session.account.username)</strong>:</p>
                <ul>
                \(scopes)
                </ul>
                <form method="post" action="/consent">
                \(form.html)
                <button type="submit" name="answer" value="allow">Allow</button>
                <button type="submit" name="answer" value="deny" class="quiet">Do not allow</button>
                </form>
                """)
    }

    static func words(_ scope: Identifier) -> String {
        switch scope.text {
        case "openid": "know that it is you"
        case "profile": "see your user name"
        case "email": "see your e-mail address"
        case "offline_access": "stay connected when you are signed out"
        default: scope.text
        }
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
                <p class="fine">For support: <code>\(error.code.rawValue)</code>, <code>\(traceID)</code></p>
                """)
    }
}

/// OAuth 2.0 Form Post Response Mode: sends itself where scripts run, and has a button where they do not.
struct FormPostPage {
    let response: AuthorizationResponse

    func render() -> Page {
        let fields: [HTML] = response.parameters.map { name, value in
            "<input type=\"hidden\" name=\"\(name)\" value=\"\(value)\">\n"
        }
        return Page(
            title: "Back to \(response.target.client.displayName)",
            content: """
                <h1>Back to \(response.target.client.displayName)</h1>
                <form method="post" action="\(response.target.uri)" id="response">
                \(fields)
                <button type="submit">Continue</button>
                </form>
                """, sendsForm: true)
    }
}
