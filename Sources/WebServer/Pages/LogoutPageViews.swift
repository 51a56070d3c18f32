internal import AuthCore
internal import OAuthServer
internal import Store

/// Whether to sign out (RP-Initiated Logout §2).
struct ConfirmLogoutPage {
    let form: FormPart
    let sessions: [BrowserSession]

    func render() -> Page {
        let names: [HTML] = sessions.map { "<li>\(shownName($0.account.username))</li>\n" }
        return Page(
            title: "Sign out",
            content: """
                <h1>Sign out?</h1>
                <p class="lead">You are signed in as</p>
                <ul class="names">
                \(names)</ul>
                <form method="post" action="\(LogoutPages.confirmPath)">
                \(form.html)
                <div class="actions">
                <button type="submit" name="answer" value="sign-out">Sign out</button>
                <button type="submit" name="answer" value="stay" class="quiet">Stay signed in</button>
                </div>
                </form>
                """)
    }
}

/// Signed out, with the pages of the clients that end their own sessions in frames (Front-Channel Logout §2). After a moment for these the
/// browser goes on by itself to where it is to go.
struct SignedOutPage {
    let signedOut: SignedOut
    /// For the frames to load; a link does not make people wait for it.
    static let waitSeconds = 3

    func render() -> Page {
        let frames: [HTML] = signedOut.frames.map { frame in
            "<iframe src=\"\(frame.url)\" title=\"Signing out\" sandbox=\"allow-scripts allow-same-origin\" hidden></iframe>\n"
        }
        let onward: HTML =
            signedOut.target.map {
                """
                <p class="lead">You are taken back in a moment.</p>
                <p><a href="\($0.location)">Back to <bdi>\($0.client.displayName)</bdi></a></p>
                """
            } ?? "<p class=\"lead\">You may close this page.</p>"
        var page = Page(
            title: "Signed out",
            content: """
                <h1>You are signed out</h1>
                \(onward)
                \(frames)
                """)
        var origins: [String] = []
        for frame in signedOut.frames where !origins.contains(where: { $0.isSameBytes(as: frame.origin) }) { origins.append(frame.origin) }
        page.frameSources = origins
        page.goesOn = signedOut.target.map { (SignedOutPage.waitSeconds, $0.location) }
        return page
    }
}

struct StayedPage {
    func render() -> Page {
        Page(
            title: "Still signed in",
            content: """
                <h1>You are still signed in</h1>
                <p class="lead">You may close this page.</p>
                """)
    }
}
