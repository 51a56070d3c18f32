package import AuthCore

/// The field lines of one message, checked byte by byte, and what framing needs to know of them (RFC 9112 §5).
package struct FieldSection {
    /// Places in the bytes that were parsed.
    package private(set) var fields: [Headers.Field] = []
    package private(set) var host = Seen()
    package private(set) var contentLength = Seen()
    package private(set) var transferEncoding = Seen()
    package private(set) var expect = Seen()
    package private(set) var connectionCount = 0
    package private(set) var saysClose = false
    package private(set) var saysKeepAlive = false

    /// How often a field occurs, and where its first value stands.
    package struct Seen {
        package private(set) var count = 0
        package private(set) var value = 0..<0

        mutating func add(_ range: Range<Int>) {
            if count == 0 { value = range }
            count += 1
        }
    }

    /// - Parameters:
    ///   - bytes: Field lines, each with its CRLF, without the empty line; `HeadScanner` has seen that every LF follows a CR.
    ///   - count: How many lines there are.
    package init(_ bytes: UnsafeRawBufferPointer, count: Int) throws(HeadFailure) {
        fields.reserveCapacity(count)
        var position = 0
        while position < bytes.count {
            let nameStart = position
            while position < bytes.count, ByteClass.isToken(bytes[position]) { position += 1 }
            let name = nameStart..<position
            guard position < bytes.count, bytes[position] == UInt8(ascii: ":"), !name.isEmpty else {
                throw FieldSection.failure(bytes, name: name)
            }
            position += 1
            while position < bytes.count, ByteClass.isSpace(bytes[position]) { position += 1 }
            let valueStart = position
            position = bytes.endOfFieldValue(from: position)
            guard position + 1 < bytes.count, bytes[position] == 0x0D else { throw .fieldValue }
            guard bytes[position + 1] == 0x0A else { throw .bareCR }
            var valueEnd = position
            while valueEnd > valueStart, ByteClass.isSpace(bytes[valueEnd - 1]) { valueEnd -= 1 }
            position += 2
            fields.append(Headers.Field(name: name, value: valueStart..<valueEnd))
            note(bytes, name: name, value: valueStart..<valueEnd)
        }
    }

    private static func failure(_ bytes: UnsafeRawBufferPointer, name: Range<Int>) -> HeadFailure {
        guard name.upperBound < bytes.count, ByteClass.isSpace(bytes[name.upperBound]) else { return .fieldName }
        return name.isEmpty ? .obsoleteFold : .spaceBeforeColon
    }

    private mutating func note(_ bytes: UnsafeRawBufferPointer, name: Range<Int>, value: Range<Int>) {
        switch name.count {
        case 4: if bytes.spells(name, "host") { host.add(value) }
        case 6: if bytes.spells(name, "expect") { expect.add(value) }
        case 10: if bytes.spells(name, "connection") { noteConnection(bytes, value) }
        case 14: if bytes.spells(name, "content-length") { contentLength.add(value) }
        case 17: if bytes.spells(name, "transfer-encoding") { transferEncoding.add(value) }
        default: break
        }
    }

    private mutating func noteConnection(_ bytes: UnsafeRawBufferPointer, _ value: Range<Int>) {
        connectionCount += 1
        for option in FieldSection.elements(bytes, value) {
            if bytes.spells(option, "close") { saysClose = true }
            if bytes.spells(option, "keep-alive") { saysKeepAlive = true }
        }
    }

    /// The elements of a comma-separated list without quoted strings, trimmed, empty ones left out (RFC 9110 §5.6.1).
    package static func elements(_ bytes: UnsafeRawBufferPointer, _ value: Range<Int>) -> [Range<Int>] {
        var elements: [Range<Int>] = []
        var start = value.lowerBound
        for position in value where bytes[position] == UInt8(ascii: ",") {
            let element = bytes.trimmed(start..<position)
            if !element.isEmpty { elements.append(element) }
            start = position + 1
        }
        let element = bytes.trimmed(start..<value.upperBound)
        if !element.isEmpty { elements.append(element) }
        return elements
    }

    /// Where the body ends, as far as the fields say so (RFC 9112 §6.1–6.3): stricter than the RFC, every doubt is a failure.
    package func framing(_ bytes: UnsafeRawBufferPointer, isVersion10: Bool) throws(HeadFailure) -> BodyFraming {
        if transferEncoding.count > 0 {
            if contentLength.count > 0 { throw .bothLengths }
            if isVersion10 { throw .transferEncodingIn10 }
            guard transferEncoding.count == 1, bytes.spells(transferEncoding.value, "chunked") else { throw .transferEncoding }
            return .chunked
        }
        if contentLength.count == 0 { return .none }
        if contentLength.count > 1 { throw .repeatedContentLength }
        guard let length = bytes.decimal(contentLength.value) else { throw .contentLength }
        return .length(length)
    }
}
