internal import AuthCore

// GatehouseClient owns what a program needs to judge access tokens apart from the database: the reader of an auth node's event stream,
// which keeps keys and revocations up to date in a TokenVerifier. It does not own what makes a token good (TokenVerification), what is
// done with a request, or where its settings come from.

/// An event as it stood in the stream.
package struct ServerSentEvent: Sendable, Equatable {
    /// `message` when the stream gave none.
    package var name: String
    package var data: [UInt8]
    /// Of this event or, where it has none, of the last that had one.
    package var lastEventID: String
}

/// Takes a stream of server-sent events apart (HTML, "Interpreting an event stream"). Everything that is remote is bounded.
package struct EventStreamParser: Sendable {
    package struct Limits: Sendable {
        /// One line without its end, in bytes.
        package var lineBytesMax = 16_777_216
        /// The data lines of one event together, in bytes.
        package var dataBytesMax = 16_777_216
        /// The name of an event, and an id, in bytes.
        package var nameBytesMax = 256

        package init() {}
    }

    package enum Failure: Error, Equatable { case lineTooLong, dataTooLong, nameTooLong, invalidUTF8 }

    private let limits: Limits
    private var line: [UInt8] = []
    /// The last byte was a CR: an LF behind it belongs to the same line end.
    private var isBehindCR = false
    private var isFirstLine = true
    private var name: [UInt8] = []
    private var data: [UInt8] = []
    private var hasData = false
    private var lastEventID = ""

    package init(limits: Limits = Limits()) { self.limits = limits }

    /// Reads on; however the stream is cut into parts, the events are the same.
    ///
    /// - Throws: When a limit is passed or text is no UTF-8: the stream cannot be read any further.
    package mutating func read(_ bytes: some Sequence<UInt8>) throws(Failure) -> [ServerSentEvent] {
        var events: [ServerSentEvent] = []
        for byte in bytes {
            if byte == 0x0A, isBehindCR {
                isBehindCR = false
                continue
            }
            isBehindCR = byte == 0x0D
            if byte == 0x0A || byte == 0x0D {
                if let event = try endLine() { events.append(event) }
            } else {
                guard line.count < limits.lineBytesMax else { throw .lineTooLong }
                line.append(byte)
            }
        }
        return events
    }

    private mutating func endLine() throws(Failure) -> ServerSentEvent? {
        defer { line.removeAll(keepingCapacity: line.count <= 4_096) }
        if isFirstLine {
            isFirstLine = false
            if line.starts(with: [0xEF, 0xBB, 0xBF]) { line.removeFirst(3) }
        }
        if line.isEmpty { return try dispatch() }
        let colon = line.firstIndex(of: UInt8(ascii: ":")) ?? line.endIndex
        let field = line[..<colon]
        var value = line[min(colon + 1, line.endIndex)...]
        if value.first == 0x20 { value = value.dropFirst() }
        // A line that begins with a colon is a comment; `retry` is ours to choose; what is not known is passed over.
        if field.elementsEqual("data".utf8) {
            guard value.count < limits.dataBytesMax - data.count else { throw .dataTooLong }
            if hasData { data.append(0x0A) }
            hasData = true
            data.append(contentsOf: value)
        } else if field.elementsEqual("event".utf8) {
            guard value.count <= limits.nameBytesMax else { throw .nameTooLong }
            name = Array(value)
        } else if field.elementsEqual("id".utf8), !value.contains(0) {
            guard value.count <= limits.nameBytesMax else { throw .nameTooLong }
            guard let text = String(validating: value, as: UTF8.self) else { throw .invalidUTF8 }
            lastEventID = text
        }
        return nil
    }

    private mutating func dispatch() throws(Failure) -> ServerSentEvent? {
        defer { (name, data, hasData) = ([], [], false) }
        guard hasData else { return nil }
        guard let text = String(validating: name, as: UTF8.self), String(validating: data, as: UTF8.self) != nil else { throw .invalidUTF8 }
        return ServerSentEvent(name: text.isEmpty ? "message" : text, data: data, lastEventID: lastEventID)
    }
}
