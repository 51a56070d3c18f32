internal import CryptoExtras

/// The modulus and exponent of an RSA key, checked before the library sees them (JW-18).
package struct RSAPublicNumbers {
    /// RFC 7518 §3.3 asks for 2 048 bits or more; above 8 192 one verification costs too much.
    static let modulusBits = 2_048...8_192

    package let modulus: [UInt8]
    package let exponent: [UInt8]

    /// - Throws: `invalidEncoding` for a leading zero byte, `weakKey` for numbers that are not accepted.
    package init(modulus: [UInt8], exponent: [UInt8]) throws(JWKError) {
        guard let highest = modulus.first, highest != 0, let lowest = modulus.last, let first = exponent.first, first != 0 else {
            throw .invalidEncoding
        }
        guard RSAPublicNumbers.modulusBits.contains(modulus.count * 8 - highest.leadingZeroBitCount), lowest & 1 == 1 else {
            throw .weakKey
        }
        guard exponent.count <= 4, let low = exponent.last, low & 1 == 1, exponent.count > 1 || low >= 3 else { throw .weakKey }
        guard !RSAPublicNumbers.isROCA(modulus) else { throw .weakKey }
        self.modulus = modulus
        self.exponent = exponent
    }

    func material() throws(JWKError) -> VerificationKey.Material {
        // The library refuses what the checks above have let through; to us that is one and the same.
        guard let key = try? _RSA.Signing.PublicKey(n: modulus, e: exponent) else { throw .weakKey }
        return .rsa(key, modulus: modulus, exponent: exponent)
    }

    /// Whether the modulus has the mark of the faulty generator of CVE-2017-15361 (Nemec and others, "The Return of
    /// Coppersmith's Attack", CCS 2017): modulo each of these primes it is a power of 65537. Of sound keys less than one
    /// in 2²⁷ has it.
    private static func isROCA(_ modulus: [UInt8]) -> Bool {
        rocaPrimes.allSatisfy { prime in
            let remainder = modulus.reduce(0) { ($0 << 8 | Int($1)) % prime }
            var power = 1
            repeat {
                if power == remainder { return true }
                power = power * 65_537 % prime
            } while power != 1
            return false
        }
    }

    private static let rocaPrimes = [11, 13, 17, 19, 37, 53, 61, 71, 73, 79, 97, 103, 107, 109, 127, 151, 157]
}
