internal import AuthCore
internal import OAuthServer
internal import Store

/// Where a person types the code of a device (RFC 8628 §3.3). A code from the address stands in the field and does nothing (§3.3.1).
struct DeviceCodePage {
    let form: FormPart
    let code: String?
    let problem: String?

    func render() -> Page {
        let problem: HTML = problem.map { "<p class=\"problem\" role=\"alert\" id=\"problem\">\($0)</p>" } ?? ""
        let described: HTML = self.problem == nil ? "" : " aria-describedby=\"problem\" aria-invalid=\"true\""
        return Page(
            title: "Connect a device",
            content: """
                <h1>Connect a device</h1>
                <p>Enter the code that your device shows.</p>
                \(problem)
                <form method="post" action="\(ServerMetadata.Path.device)">
                \(form.html)
                <label for="user_code">Code</label>
                <input id="user_code" name="user_code" value="\(code ?? "")" autocomplete="off" autocapitalize="characters" spellcheck="false" maxlength="64" required autofocus\(described)>
                <div class="actions">
                <button type="submit">Continue</button>
                </div>
                </form>
                """)
    }
}

/// Whether the device may have it: with its code, and the warning of RFC 8628 §5.4.
struct ConfirmDevicePage {
    let form: FormPart
    let question: DeviceQuestion

    func render() -> Page {
        let groups: [HTML] = question.asked.map(ConsentPage.group)
        return Page(
            title: "Allow this device",
            content: """
                <h1>Allow this device?</h1>
                <p class="lead">A device with \(shownName(question.client.displayName)) asks to use your account \(shownName(question.session.account.username)).</p>
                <p>It could:</p>
                <div class="asked">
                \(groups)</div>
                <p>The device shows this code: <strong class="code">\(question.userCode.shown)</strong></p>
                <p class="problem" role="note">Allow it only if you see this code on a device in front of you, and began this yourself. If somebody sent you here with a code, do not allow it.</p>
                <form method="post" action="\(AuthorizePages.deviceConfirmPath)">
                \(form.html)
                <div class="actions">
                <button type="submit" name="answer" value="allow">Allow</button>
                <button type="submit" name="answer" value="deny" class="quiet">Do not allow</button>
                </div>
                </form>
                """)
    }
}

struct DeviceAnsweredPage {
    let isAllowed: Bool
    let client: String

    func render() -> Page {
        let title = isAllowed ? "Device connected" : "Device not connected"
        let next: HTML =
            isAllowed
            ? "<p>Go back to your device: \(shownName(client)) goes on there in a moment.</p>"
            : "<p>\(shownName(client)) got nothing.</p>"
        return Page(
            title: title,
            content: """
                <h1>\(title)</h1>
                \(next)
                <p>You may close this page.</p>
                """)
    }
}
