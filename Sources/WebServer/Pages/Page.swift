internal import AuthCore

/// HTML that is safe by construction: text goes in escaped, only literals go in as they are.
struct HTML: ExpressibleByStringInterpolation, Sendable {
    private(set) var text: String

    struct StringInterpolation: StringInterpolationProtocol {
        fileprivate var text = ""

        init(literalCapacity: Int, interpolationCount: Int) { text.reserveCapacity(literalCapacity + interpolationCount * 16) }
        mutating func appendLiteral(_ literal: String) { text += literal }
        /// Text of anybody.
        mutating func appendInterpolation(_ value: String) { text += HTML.escape(value) }
        mutating func appendInterpolation(_ html: HTML) { text += html.text }
        mutating func appendInterpolation(_ parts: [HTML]) { for part in parts { text += part.text } }
    }

    init(stringLiteral literal: String) { text = literal }
    init(stringInterpolation interpolation: StringInterpolation) { text = interpolation.text }

    /// For element content and for attributes in double quotes.
    private static func escape(_ value: String) -> String {
        var escaped: [UInt8] = []
        for byte in value.utf8 {
            switch byte {
            case UInt8(ascii: "&"): escaped += "&amp;".utf8
            case UInt8(ascii: "<"): escaped += "&lt;".utf8
            case UInt8(ascii: ">"): escaped += "&gt;".utf8
            case UInt8(ascii: "\""): escaped += "&quot;".utf8
            case UInt8(ascii: "'"): escaped += "&#39;".utf8
            default: escaped.append(byte)
            }
        }
        return String(decoding: escaped, as: UTF8.self)
    }
}

/// One page: its title and what stands in it.
struct Page: Sendable {
    var title: String
    var content: HTML
    /// Whether it runs the one script that sends a form by itself.
    var sendsForm = false
    /// The origins that it shows in frames.
    var frameSources: [String] = []
    /// Where the browser goes by itself, after so many seconds.
    var goesOn: (afterSeconds: Int, location: String)?

    static let stylePath = "/assets/gatehouse.css"
    /// Asked for by name, so that no browser looks for `/favicon.ico` at every visit.
    static let iconPath = "/assets/gatehouse.svg"
    static let scriptPath = "/assets/form-post.js"

    /// - Parameter formTargets: Where its forms may lead, beside here: browsers also check where a form is redirected to.
    func response(_ status: Int, formTargets: [String] = [], headers: [(name: String, value: String)] = []) -> ResponseFacts {
        let script: HTML = sendsForm ? "<script src=\"\(Page.scriptPath)\" defer></script>" : ""
        let onward: HTML = goesOn.map { "\n<meta http-equiv=\"refresh\" content=\"\(String($0.afterSeconds));url=\($0.location)\">" } ?? ""
        let html: HTML = """
            <!doctype html>
            <html lang="en">
            <head>
            <meta charset="utf-8">
            <meta name="viewport" content="width=device-width, initial-scale=1">
            <meta name="color-scheme" content="light dark">
            <title>\(title)</title>\(onward)
            <link rel="icon" href="\(Page.iconPath)" type="image/svg+xml">
            <link rel="stylesheet" href="\(Page.stylePath)">\(script)
            </head>
            <body>
            <main>
            \(content)
            </main>
            </body>
            </html>

            """
        let targets = (["'self'"] + formTargets).joined(separator: " ")
        let policy =
            "default-src 'none'; style-src 'self'; img-src 'self'; form-action \(targets); frame-ancestors 'none'; base-uri 'none'"
            + (sendsForm ? "; script-src 'self'" : "")
            + (frameSources.isEmpty ? "" : "; frame-src " + frameSources.joined(separator: " "))
        return ResponseFacts(
            status: status,
            headers: [("content-type", "text/html; charset=utf-8"), ("content-security-policy", policy)] + Page.guards + headers,
            body: Array(html.text.utf8))
    }

    /// 303, so that the answer to a form is never sent on as a form (RFC 9700 §4.12).
    static func redirect(_ location: String, headers: [(name: String, value: String)] = []) -> ResponseFacts {
        ResponseFacts(status: 303, headers: [("location", location)] + guards + headers)
    }

    private static let guards: [(name: String, value: String)] = [
        ("cache-control", "no-store"), ("referrer-policy", "no-referrer"), ("x-content-type-options", "nosniff"),
        ("x-frame-options", "DENY"), ("cross-origin-opener-policy", "same-origin"), ("cross-origin-resource-policy", "same-origin"),
        ("permissions-policy", "camera=(), geolocation=(), microphone=()"),
    ]
}

/// What every form on the way has in it.
struct FormPart: Sendable {
    let interaction: String
    let token: String

    var html: HTML {
        """
        <input type="hidden" name="interaction" value="\(interaction)">
        <input type="hidden" name="form" value="\(token)">
        """
    }
}
