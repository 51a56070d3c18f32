/// Why a message is not exactly RFC 9112, or exceeds a limit. The raw value is counted in the metrics.
package enum HeadFailure: String, Error, Sendable, CaseIterable {
    case requestLine = "request_line"
    case method
    case target
    case version
    case uriTooLong = "uri_too_long"
    case headersTooLarge = "headers_too_large"
    case tooManyFields = "too_many_fields"
    case bareLF = "bare_lf"
    case bareCR = "bare_cr"
    case obsoleteFold = "obsolete_fold"
    case spaceBeforeColon = "space_before_colon"
    case fieldName = "field_name"
    case fieldValue = "field_value"
    case missingHost = "missing_host"
    case repeatedHost = "repeated_host"
    case badHost = "bad_host"
    case bothLengths = "both_lengths"
    case repeatedContentLength = "repeated_content_length"
    case contentLength = "content_length"
    case transferEncoding = "transfer_encoding"
    case transferEncodingIn10 = "transfer_encoding_in_1_0"
    case expectation
    case chunkSize = "chunk_size"
    case chunkExtension = "chunk_extension"
    case chunkEnd = "chunk_end"
    case trailer
    case statusLine = "status_line"
    case clientCertificate = "client_certificate"

    /// The answer to a request that failed so; the connection closes behind it.
    package var status: Int {
        switch self {
        case .version: 505
        case .uriTooLong: 414
        case .headersTooLarge, .tooManyFields: 431
        case .expectation: 417
        default: 400
        }
    }

    /// The `error` member of the answer.
    package var code: String {
        switch self {
        case .version: "http_version_not_supported"
        case .uriTooLong: "uri_too_long"
        case .headersTooLarge, .tooManyFields: "header_fields_too_large"
        case .expectation: "expectation_failed"
        default: "invalid_request"
        }
    }

    /// A sentence for the person who wrote the client; holds nothing of the request.
    package var sentence: String {
        switch self {
        case .requestLine: "The request line is not `METHOD /target HTTP/1.1` with single spaces (RFC 9112 section 3)."
        case .method: "The method is not a token (RFC 9110 section 9.1)."
        case .target: "The target is not in origin-form: a path that begins with `/`, of printable ASCII, without a fragment."
        case .version: "Only HTTP/1.1 and HTTP/1.0 are spoken here."
        case .uriTooLong: "The request line is too long."
        case .headersTooLarge: "The header fields are too large together."
        case .tooManyFields: "There are too many header fields."
        case .bareLF: "A line ends in LF without CR (RFC 9112 section 2.2)."
        case .bareCR: "There is a CR that ends no line (RFC 9112 section 2.2)."
        case .obsoleteFold: "A header field is folded over lines (RFC 9112 section 5.2)."
        case .spaceBeforeColon: "There is white space between a field name and its colon (RFC 9112 section 5.1)."
        case .fieldName: "A field name is not a token (RFC 9110 section 5.1)."
        case .fieldValue: "A field value contains a control character (RFC 9110 section 5.5)."
        case .missingHost: "There is no Host field (RFC 9112 section 3.2)."
        case .repeatedHost: "There is more than one Host field (RFC 9112 section 3.2)."
        case .badHost: "The Host field is not a host with an optional port (RFC 9112 section 3.2)."
        case .bothLengths: "There are both Content-Length and Transfer-Encoding (RFC 9112 section 6.3)."
        case .repeatedContentLength: "There is more than one Content-Length field (RFC 9112 section 6.3)."
        case .contentLength: "Content-Length is not a number of digits, or too large (RFC 9110 section 8.6)."
        case .transferEncoding: "Transfer-Encoding is not exactly `chunked` (RFC 9112 section 6.1)."
        case .transferEncodingIn10: "HTTP/1.0 has no Transfer-Encoding (RFC 9112 section 6.1)."
        case .expectation: "The only expectation that is met here is `100-continue` (RFC 9110 section 10.1.1)."
        case .chunkSize: "A chunk size is not hexadecimal, or too large (RFC 9112 section 7.1)."
        case .chunkExtension: "A chunk extension is malformed or too long (RFC 9112 section 7.1.1)."
        case .chunkEnd: "A chunk is not followed by CRLF (RFC 9112 section 7.1)."
        case .trailer: "The trailer section is malformed or too large (RFC 9112 section 7.1.2)."
        case .clientCertificate:
            "Client-Cert is not one certificate as a byte sequence, or Client-Cert-Chain is no list of them (RFC 9440)."
        case .statusLine: "The status line is malformed (RFC 9112 section 4)."
        }
    }
}
