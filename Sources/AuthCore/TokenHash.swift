internal import Crypto

/// The SHA-256 of a token's bytes: what a cache or a table holds instead of the token.
public struct TokenHash: Hashable, Sendable {
    public let words: (UInt64, UInt64, UInt64, UInt64)

    public init(of bytes: some Sequence<UInt8>) {
        if let words = bytes.withContiguousStorageIfAvailable({ TokenHash.digest(UnsafeRawBufferPointer($0)) }) {
            self.words = words
        } else {
            self.words = Array(bytes).withUnsafeBytes { TokenHash.digest($0) }
        }
    }

    public init(of buffer: UnsafeRawBufferPointer) { self.words = TokenHash.digest(buffer) }

    private static func digest(_ buffer: UnsafeRawBufferPointer) -> (UInt64, UInt64, UInt64, UInt64) {
        var hash = SHA256()
        hash.update(bufferPointer: buffer)
        return hash.finalize().withUnsafeBytes { $0.loadUnaligned(as: (UInt64, UInt64, UInt64, UInt64).self) }
    }

    public var bytes: [UInt8] { withUnsafeBytes(of: words) { Array($0) } }

    public static func == (left: TokenHash, right: TokenHash) -> Bool { left.words == right.words }

    public func hash(into hasher: inout Hasher) { hasher.combine(words.0) }
}
