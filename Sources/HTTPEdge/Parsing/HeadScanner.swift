#if canImport(Glibc)
internal import Glibc
#elseif canImport(Musl)
internal import Musl
#else
internal import Darwin
#endif

/// Finds the lines of a message head and holds its limits; the same for requests and answers.
///
/// It looks at each byte once, however the head is cut into reads, and its verdict does not depend on the cuts.
package struct HeadScanner {
    package struct Limits: Sendable {
        package let startLineBytesMax: Int
        package let headerBytesMax: Int
        package let fieldsMax: Int
        package let startLineFailure: HeadFailure

        package init(startLineBytesMax: Int, headerBytesMax: Int, fieldsMax: Int, startLineFailure: HeadFailure) {
            self.startLineBytesMax = startLineBytesMax
            self.headerBytesMax = headerBytesMax
            self.fieldsMax = fieldsMax
            self.startLineFailure = startLineFailure
        }
    }

    /// Where the parts of a complete head lie.
    package struct Layout {
        /// Without its CRLF.
        package let startLine: Range<Int>
        /// All field lines with their CRLFs, without the empty line.
        package let fields: Range<Int>
        package let fieldCount: Int
        /// Behind the empty line.
        package let end: Int
    }

    package enum Progress {
        case incomplete
        case complete(Layout)
        case failure(HeadFailure)
    }

    private let limits: Limits
    private var position = 0
    private var lineStart = 0
    private var hasSkippedEmptyLine = false
    private var startLine: Range<Int>?
    private var fieldCount = 0

    package init(_ limits: Limits) { self.limits = limits }

    package mutating func reset() { self = HeadScanner(limits) }

    /// - Parameter bytes: All of the head so far, from its first byte: what an earlier call saw, and more.
    package mutating func scan(_ bytes: UnsafeRawBufferPointer) -> Progress {
        guard let base = bytes.baseAddress else { return .incomplete }
        while let found = memchr(base + position, 0x0A, bytes.count - position) {
            let end = base.distance(to: UnsafeRawPointer(found))
            if let failure = tooLong(upTo: end) { return .failure(failure) }
            guard end > lineStart, bytes[end - 1] == 0x0D else { return .failure(.bareLF) }
            let line = lineStart..<(end - 1)
            position = end + 1
            lineStart = position
            if let startLine {
                if line.isEmpty {
                    let fields = (startLine.upperBound + 2)..<line.lowerBound
                    return .complete(Layout(startLine: startLine, fields: fields, fieldCount: fieldCount, end: position))
                }
                fieldCount += 1
                if fieldCount > limits.fieldsMax { return .failure(.tooManyFields) }
            } else if line.isEmpty {
                // RFC 9112 §2.2: one empty line in front of a request is ignored.
                if hasSkippedEmptyLine { return .failure(limits.startLineFailure == .statusLine ? .statusLine : .requestLine) }
                hasSkippedEmptyLine = true
            } else {
                startLine = line
            }
        }
        position = bytes.count
        if let failure = tooLong(upTo: bytes.count) { return .failure(failure) }
        return .incomplete
    }

    /// The limit that is passed when no line has ended before `end`, which may itself be the LF of one.
    private func tooLong(upTo end: Int) -> HeadFailure? {
        if let startLine {
            return end - startLine.upperBound - 2 >= limits.headerBytesMax + 2 ? .headersTooLarge : nil
        }
        return end - lineStart >= limits.startLineBytesMax + 2 ? limits.startLineFailure : nil
    }
}
