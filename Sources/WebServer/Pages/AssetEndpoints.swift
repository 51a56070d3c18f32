internal import AuthCore
internal import CAssets

/// The style, the icon and the script of the pages, compiled into the binary.
package enum AssetEndpoints {
    package static let endpoints = [
        row(Page.stylePath, "gatehouse.css", "text/css; charset=utf-8"),
        row(Page.iconPath, "gatehouse.svg", "image/svg+xml"),
        row(Page.scriptPath, "form-post.js", "text/javascript; charset=utf-8"),
    ]

    private static func row(_ path: String, _ name: String, _ type: String) -> Endpoint {
        Endpoint("GET", path) { _ throws(APIError) in
            var length = 0
            guard let bytes = gatehouse_asset(name, &length) else { throw APIError(404, "not_found", "There is nothing at this path.") }
            let headers = [
                (name: "content-type", value: type), (name: "cache-control", value: "public, max-age=300"),
                (name: "x-content-type-options", value: "nosniff"),
            ]
            return ResponseFacts(status: 200, headers: headers, body: Array(UnsafeBufferPointer(start: bytes, count: length)))
        }
    }
}
