internal import AuthCore
internal import Crypto

/// Proof Key for Code Exchange (RFC 7636), S256 alone: `plain` protects from nobody who reads the request (RFC 9700 §2.1.1).
package enum CodeChallenge {
    /// The challenge of a verifier (§4.2); nothing for one that is not 43 to 128 unreserved characters (§4.1).
    package static func s256(ofVerifier verifier: String) -> String? {
        let bytes = Array(verifier.utf8)
        guard (43...128).contains(bytes.count), bytes.allSatisfy(isUnreserved) else { return nil }
        return Base64URL.encode(Array(SHA256.hash(data: bytes)))
    }

    /// Whether this can be one: the base64url of 32 bytes.
    package static func isChallenge(_ text: String) -> Bool { text.utf8.count == 43 && Base64URL.decode(text)?.count == 32 }

    private static func isUnreserved(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "0")...UInt8(ascii: "9"): true
        case UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"), UInt8(ascii: "~"): true
        default: false
        }
    }
}
