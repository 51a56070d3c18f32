internal import Synchronization

/// The headers of the last few keys, read once: all tokens of a key begin with the same bytes.
///
/// Only headers of tokens that were verified come in, so nobody who cannot sign pushes them out.
final class HeaderMemo: Sendable {
    /// The most headers that are held; an issuer has two or three keys at a time.
    static let countMax = 4
    /// The longest header that is held, in bytes of base64url.
    static let bytesMax = 512

    private struct State: Sendable {
        var entries: [(encoded: [UInt8], header: JWSHeader)] = []
        var next = 0
    }

    private let state = Mutex(State())

    func header(_ encoded: UnsafeBufferPointer<UInt8>) -> JWSHeader? {
        state.withLock { state in
            for index in state.entries.indices where HeaderMemo.isSame(state.entries[index].encoded, encoded) {
                return state.entries[index].header
            }
            return nil
        }
    }

    func remember(_ header: JWSHeader, _ encoded: UnsafeBufferPointer<UInt8>) {
        guard encoded.count <= HeaderMemo.bytesMax else { return }
        state.withLock { state in
            if state.entries.contains(where: { HeaderMemo.isSame($0.encoded, encoded) }) { return }
            if state.entries.count < HeaderMemo.countMax {
                state.entries.append((Array(encoded), header))
            } else {
                state.entries[state.next] = (Array(encoded), header)
                state.next = (state.next + 1) % HeaderMemo.countMax
            }
        }
    }

    private static func isSame(_ left: [UInt8], _ right: UnsafeBufferPointer<UInt8>) -> Bool {
        guard left.count == right.count else { return false }
        for index in left.indices where left[index] != right[index] { return false }
        return true
    }
}
