internal import AuthCore
internal import CAssets

/// `GET /openapi.json`: the description of the API, compiled into the binary.
package enum OpenAPIEndpoint {
    package static let endpoint = Endpoint("GET", "/openapi.json") { _ throws(APIError) in
        let headers = [(name: "content-type", value: "application/json"), (name: "cache-control", value: "public, max-age=300")]
        return ResponseFacts(status: 200, headers: headers, body: document)
    }

    /// The bytes of the document.
    package static let document: [UInt8] = {
        var length = 0
        guard let bytes = gatehouse_asset("openapi.json", &length) else { return [] }
        return Array(UnsafeBufferPointer(start: bytes, count: length))
    }()
}
