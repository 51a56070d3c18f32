internal import AuthCore

/// A request target that has one spelling only: what was matched, judged and logged is what is forwarded (GW-02, RFC 3986 §6.2.2).
///
/// Nothing is normalised. A target that a service could read in more than one way is refused with 400, so the bytes of a
/// canonical target are the bytes received. Refused in the path (GW-03):
///
/// - an empty segment (`//`) and a dot segment (`.`, `..`); `;`, which servlet containers strip with what follows; `\`;
///   `#`; bytes outside ASCII, control bytes and the space;
/// - a broken escape (`%`, `%2`, `%zz`, `%u002f`), and escapes that are not UTF-8 (`%c0%af` is an overlong `/`);
/// - the escapes of `/`, `\`, `.`, `;`, of control bytes with NUL, and of letters, digits, `-`, `_` and `~`: the last ones
///   mean the same as the bare byte (RFC 3986 §2.3), so `/%61dmin` would be a second spelling of `/admin`;
/// - the same behind `%25`: what a service that decodes twice would make of it is judged as well (`%252e`, `%25252f`).
///
/// Every other escape is left byte for byte as it came. Because `%40` and `@`, or `%c3` and `%C3`, are still two spellings,
/// `decodedPath` exists: `RouteTable` looks both up and refuses a path that leads to another route once decoded, or
/// once it is cut at a `?` or `#` that was decoded.
///
/// The query is no part of any decision. It is printable ASCII without `#`, otherwise as received, its escapes unread.
package struct CanonicalTarget: Sendable {
    /// The longest path, in bytes.
    package static let pathBytesMax = 4_096
    /// The longest query, in bytes, without its `?`.
    package static let queryBytesMax = 8_192

    /// Path and query as received.
    package let bytes: [UInt8]
    /// Where the path ends: the place of `?`, or the end.
    package let pathEnd: Int
    /// The path as a service reads it that decodes until nothing is left to decode; nothing when the path has no escape.
    package let decodedPath: [UInt8]?

    package var path: ArraySlice<UInt8> { bytes[..<pathEnd] }
    package var pathText: String { String(decoding: path, as: UTF8.self) }
    /// What stands behind `?`; nothing when there is none.
    package var query: ArraySlice<UInt8>? { pathEnd < bytes.count ? bytes[(pathEnd + 1)...] : nil }

    /// - Parameter target: The request target as received. Only the origin-form (RFC 9112 §3.2.1) can be canonical.
    package init(_ target: [UInt8]) throws(TargetFault) {
        guard target.first == UInt8(ascii: "/") else { throw .notOriginForm }
        var index = 1
        var segmentStart = 1
        var hasEscape = false
        scan: while index < target.count {
            let byte = target[index]
            switch byte {
            case UInt8(ascii: "/"):
                try CanonicalTarget.check(target, segmentStart..<index, isLast: false)
                segmentStart = index + 1
            case UInt8(ascii: "?"): break scan
            case UInt8(ascii: "%"): hasEscape = true
            case UInt8(ascii: ";"): throw .pathParameter
            case UInt8(ascii: "\\"), UInt8(ascii: "#"), ...0x20, 0x7F...: throw .byteNotAllowed
            default: break
            }
            index += 1
            // Checked here and not at the end, so that the work on an endless path has an end.
            if index > CanonicalTarget.pathBytesMax { throw .pathTooLong }
        }
        try CanonicalTarget.check(target, segmentStart..<index, isLast: true)
        if index < target.count {
            guard target.count - index - 1 <= CanonicalTarget.queryBytesMax else { throw .queryTooLong }
            for byte in target[(index + 1)...] where !(0x21...0x7E).contains(byte) || byte == UInt8(ascii: "#") { throw .byteNotAllowed }
        }
        bytes = target
        pathEnd = index
        decodedPath = hasEscape ? try CanonicalTarget.decoded(target[..<index]) : nil
    }

    /// Refuses an empty segment, but for the one behind a trailing slash, and a dot segment (RFC 3986 §3.3).
    private static func check(_ target: [UInt8], _ segment: Range<Int>, isLast: Bool) throws(TargetFault) {
        switch segment.count {
        case 0: if !isLast { throw .emptySegment }
        case 1: if target[segment.lowerBound] == UInt8(ascii: ".") { throw .dotSegment }
        case 2:
            if target[segment.lowerBound] == UInt8(ascii: "."), target[segment.lowerBound + 1] == UInt8(ascii: ".") { throw .dotSegment }
        default: break
        }
    }

    /// The path with its escapes decoded until none is left, each judged by the byte that it ends as.
    private static func decoded(_ path: ArraySlice<UInt8>) throws(TargetFault) -> [UInt8] {
        var decoded: [UInt8] = []
        decoded.reserveCapacity(path.count)
        var isASCII = true
        var index = path.startIndex
        while index < path.endIndex {
            guard path[index] == UInt8(ascii: "%") else {
                decoded.append(path[index])
                index += 1
                continue
            }
            guard var byte = escaped(path, index + 1) else { throw .brokenEscape }
            index += 3
            // `%25` and two hexadecimal digits are an escape again after one decoding. Digits that are themselves
            // escaped need no thought: the escape of a digit is refused.
            var depth = 1
            while byte == UInt8(ascii: "%"), let next = escaped(path, index) {
                byte = next
                index += 2
                depth += 1
            }
            guard isEscapeAllowed(of: byte, depth: depth) else { throw .escapeNotAllowed }
            isASCII = isASCII && byte < 0x80
            decoded.append(byte)
        }
        if !isASCII, String(validating: decoded, as: UTF8.self) == nil { throw .escapeNotUTF8 }
        // Cut at the decoded mark, `/..%3F` ends in a dot segment.
        var start = 0
        for (index, byte) in decoded.enumerated() {
            if byte == UInt8(ascii: "/") { start = index + 1 }
            if byte == UInt8(ascii: "?") || byte == UInt8(ascii: "#") { try check(decoded, start..<index, isLast: true) }
        }
        return decoded
    }

    /// The value of the two hexadecimal digits at `index`.
    private static func escaped(_ path: ArraySlice<UInt8>, _ index: Int) -> UInt8? {
        guard path.endIndex - index >= 2, let high = hexDigit(path[index]), let low = hexDigit(path[index + 1]) else { return nil }
        return high << 4 | low
    }

    private static func isEscapeAllowed(of byte: UInt8, depth: Int) -> Bool {
        switch byte {
        case ...0x1F, 0x7F: false
        case UInt8(ascii: "/"), UInt8(ascii: "\\"), UInt8(ascii: "."), UInt8(ascii: ";"): false
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "0")...UInt8(ascii: "9"): false
        case UInt8(ascii: "-"), UInt8(ascii: "_"), UInt8(ascii: "~"): false
        case 0x80...: depth == 1
        default: true
        }
    }
}

/// Why a target is not canonical. The raw value is what the operator reads; the client reads `sentence`.
package enum TargetFault: String, Error, Sendable, CaseIterable {
    case notOriginForm = "not_origin_form"
    case pathTooLong = "path_too_long"
    case queryTooLong = "query_too_long"
    case byteNotAllowed = "byte_not_allowed"
    case emptySegment = "empty_segment"
    case dotSegment = "dot_segment"
    case pathParameter = "path_parameter"
    case brokenEscape = "broken_escape"
    case escapeNotAllowed = "escape_not_allowed"
    case escapeNotUTF8 = "escape_not_utf8"

    /// The place among all cases.
    var index: Int { TargetFault.allCases.firstIndex(of: self) ?? 0 }

    package var sentence: String {
        switch self {
        case .notOriginForm: "The request target must begin with a slash."
        case .pathTooLong: "The path is longer than \(CanonicalTarget.pathBytesMax) bytes."
        case .queryTooLong: "The query is longer than \(CanonicalTarget.queryBytesMax) bytes."
        case .byteNotAllowed: "The request target has a backslash, a number sign, or a byte that is not printable ASCII."
        case .emptySegment: "The path has an empty segment."
        case .dotSegment: "The path has a dot segment."
        case .pathParameter: "The path has a semicolon."
        case .brokenEscape: "The path has a percent sign without two hexadecimal digits."
        case .escapeNotAllowed: "The path has an escape of a byte that must not be escaped."
        case .escapeNotUTF8: "The escapes of the path are not UTF-8."
        }
    }
}
