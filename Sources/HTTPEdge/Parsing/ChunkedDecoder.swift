package import NIOCore

/// Takes a chunked body apart (RFC 9112 §7.1). Extensions and trailer fields are checked, bounded and dropped.
///
/// Stricter than the RFC: no white space before the CRLF of a size or before `;`, which readers have understood differently.
package struct ChunkedDecoder: Sendable {
    package enum Event {
        case part(ByteBuffer)
        case needsMore
        case end
        case failure(HeadFailure)
    }

    private enum State {
        case size, sizeLF, data, dataCR, dataLF
        case nameStart, extensionName, valueStart, extensionValue, quoted, escaped, quotedEnd
        case lineStart, name, value, valueLF, finalLF, done
    }

    private let extensionBytesMax: Int
    private let trailerBytesMax: Int
    private var state = State.size
    private var digits = 0
    private var left = 0
    private var extensionBytes = 0
    private var trailerBytes = 0

    package init(extensionBytesMax: Int, trailerBytesMax: Int) {
        self.extensionBytesMax = extensionBytesMax
        self.trailerBytesMax = trailerBytesMax
    }

    /// The next bytes of the content, taken off the front of `input`; a chunk may come in several parts.
    package mutating func next(_ input: inout ByteBuffer) -> Event {
        while true {
            if state == .done { return .end }
            if state == .data {
                let count = min(left, input.readableBytes)
                guard count > 0, let part = input.readSlice(length: count) else { return .needsMore }
                left -= count
                if left == 0 { state = .dataCR }
                return .part(part)
            }
            if input.readableBytes == 0 { return .needsMore }
            var taken = 0
            let failure = input.withUnsafeReadableBytes { bytes -> HeadFailure? in
                while taken < bytes.count, state != .data, state != .done {
                    if let failure = step(bytes[taken]) { return failure }
                    taken += 1
                }
                return nil
            }
            if let failure { return .failure(failure) }
            input.moveReaderIndex(forwardBy: taken)
        }
    }

    private mutating func step(_ byte: UInt8) -> HeadFailure? {
        switch state {
        case .size: return sizeStep(byte)
        case .nameStart, .extensionName, .valueStart, .extensionValue, .quoted, .escaped, .quotedEnd: return extensionStep(byte)
        case .sizeLF:
            if byte != 0x0A { return .bareCR }
            digits = 0
            extensionBytes = 0
            state = left == 0 ? .lineStart : .data
            return nil
        case .dataCR:
            state = .dataLF
            return byte == 0x0D ? nil : .chunkEnd
        case .dataLF:
            state = .size
            return byte == 0x0A ? nil : .chunkEnd
        case .lineStart, .name, .value, .valueLF, .finalLF: return trailerStep(byte)
        case .data, .done: return nil
        }
    }

    private mutating func sizeStep(_ byte: UInt8) -> HeadFailure? {
        switch byte {
        case 0x0D where digits > 0: state = .sizeLF
        case UInt8(ascii: ";") where digits > 0: state = .nameStart
        case 0x0A where digits > 0: return .bareLF
        default:
            let value: UInt8
            switch byte {
            case UInt8(ascii: "0")...UInt8(ascii: "9"): value = byte - UInt8(ascii: "0")
            case UInt8(ascii: "a")...UInt8(ascii: "f"): value = byte - UInt8(ascii: "a") + 10
            case UInt8(ascii: "A")...UInt8(ascii: "F"): value = byte - UInt8(ascii: "A") + 10
            default: return .chunkSize
            }
            // 15 digits hold 60 bits, so the sum cannot overflow.
            digits += 1
            if digits > 15 { return .chunkSize }
            left = left << 4 | Int(value)
        }
        return nil
    }

    /// `;name`, `;name=token` or `;name="quoted"` (RFC 9112 §7.1.1), without the white space that the RFC calls bad.
    private mutating func extensionStep(_ byte: UInt8) -> HeadFailure? {
        extensionBytes += 1
        if extensionBytes > extensionBytesMax, byte != 0x0D { return .chunkExtension }
        switch (state, byte) {
        case (.extensionName, 0x0D), (.extensionValue, 0x0D), (.quotedEnd, 0x0D): state = .sizeLF
        case (.extensionName, UInt8(ascii: ";")), (.extensionValue, UInt8(ascii: ";")), (.quotedEnd, UInt8(ascii: ";")): state = .nameStart
        case (.extensionName, UInt8(ascii: "=")): state = .valueStart
        case (.nameStart, _) where ByteClass.isToken(byte): state = .extensionName
        case (.valueStart, UInt8(ascii: "\"")): state = .quoted
        case (.valueStart, _) where ByteClass.isToken(byte): state = .extensionValue
        case (.extensionName, _) where ByteClass.isToken(byte), (.extensionValue, _) where ByteClass.isToken(byte): break
        case (.quoted, UInt8(ascii: "\"")): state = .quotedEnd
        case (.quoted, UInt8(ascii: "\\")): state = .escaped
        case (.quoted, _) where ByteClass.isFieldValue(byte): break
        case (.escaped, _) where ByteClass.isFieldValue(byte): state = .quoted
        default: return byte == 0x0A ? .bareLF : .chunkExtension
        }
        return nil
    }

    private mutating func trailerStep(_ byte: UInt8) -> HeadFailure? {
        trailerBytes += 1
        if trailerBytes > trailerBytesMax { return .trailer }
        switch state {
        case .lineStart:
            if byte == 0x0D {
                state = .finalLF
            } else if ByteClass.isToken(byte) {
                state = .name
            } else {
                return .trailer
            }
        case .name:
            if byte == UInt8(ascii: ":") {
                state = .value
            } else if !ByteClass.isToken(byte) {
                return .trailer
            }
        case .value:
            if byte == 0x0D {
                state = .valueLF
            } else if !ByteClass.isFieldValue(byte) {
                return .trailer
            }
        case .valueLF:
            if byte != 0x0A { return .trailer }
            state = .lineStart
        default:
            if byte != 0x0A { return .trailer }
            state = .done
        }
        return nil
    }
}

/// What is left of a message body, however it is framed.
package struct BodyReader: Sendable {
    private enum State: Sendable {
        case length(Int)
        case chunked(ChunkedDecoder)
        case untilClose
        case done
    }

    private var state: State

    /// - Parameter untilClose: The body ends with the connection: an answer without framing (RFC 9112 §6.3 item 8).
    package init(_ framing: BodyFraming, extensionBytesMax: Int, trailerBytesMax: Int, untilClose: Bool = false) {
        switch framing {
        case .none: state = untilClose ? .untilClose : .done
        case .length(let length): state = length == 0 ? .done : .length(length)
        case .chunked: state = .chunked(ChunkedDecoder(extensionBytesMax: extensionBytesMax, trailerBytesMax: trailerBytesMax))
        }
    }

    package var isDone: Bool { if case .done = state { true } else { false } }
    package var endsWithConnection: Bool { if case .untilClose = state { true } else { false } }

    /// The bytes still to come, when that is known.
    package var lengthLeft: Int? {
        switch state {
        case .done: 0
        case .length(let left): left
        case .chunked, .untilClose: nil
        }
    }

    package mutating func next(_ input: inout ByteBuffer) -> ChunkedDecoder.Event {
        switch state {
        case .done: return .end
        case .length(let left):
            let count = min(left, input.readableBytes)
            guard count > 0, let part = input.readSlice(length: count) else { return .needsMore }
            state = left == count ? .done : .length(left - count)
            return .part(part)
        case .chunked(var decoder):
            let event = decoder.next(&input)
            if case .end = event { state = .done } else { state = .chunked(decoder) }
            return event
        case .untilClose:
            guard input.readableBytes > 0, let part = input.readSlice(length: input.readableBytes) else { return .needsMore }
            return .part(part)
        }
    }
}
