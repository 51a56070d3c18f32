internal import HTTPEdge

/// The checked head of an upstream's answer.
typealias UpstreamHead = ResponseHead

/// Reads the heads of answers of upstreams.
typealias UpstreamHeadParser = ResponseHeadParser

extension ResponseHeadParser {
    init(_ limits: ProxyLimits) {
        self.init(
            HeadScanner.Limits(
                startLineBytesMax: limits.statusLineBytesMax,
                headerBytesMax: limits.headerBytesMax,
                fieldsMax: limits.headerFieldsMax,
                startLineFailure: .statusLine
            )
        )
    }
}
