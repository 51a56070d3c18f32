import AuthCore
import Crypto
import Testing
import TokenVerification

@Suite("RFC 9449 §8, §9, DP-04: the server's nonces")
struct DPoPNoncesTests {
    private static func key(_ byte: UInt8) -> SymmetricKey { SymmetricKey(data: [UInt8](repeating: byte, count: 32)) }
    private static let start = Instant(seconds: 1_800_000_000)

    @Test("good in its step and the next, so for 10 s at most")
    func times() {
        let nonces = DPoPNonces(keys: [Self.key(1)])
        let nonce = nonces.nonce(at: Self.start)
        for (milliseconds, isGood) in [(0, true), (4_999, true), (5_000, true), (9_999, true), (10_000, false), (3_600_000, false)] {
            #expect(nonces.isGood(nonce, at: Self.start + .milliseconds(milliseconds)) == isGood, "\(milliseconds)")
        }
        // Given out at the end of its step, it is good for five seconds at least.
        let late = nonces.nonce(at: Self.start + .milliseconds(4_999))
        #expect(late == nonce)
        #expect(nonces.nonce(at: Self.start + .seconds(5)) != nonce)
    }

    @Test("one of a node whose clock is ahead by the bound is good, of one further ahead it is not")
    func ahead() {
        let nonces = DPoPNonces(keys: [Self.key(1)])
        let next = nonces.nonce(at: Self.start + .seconds(5))
        #expect(!nonces.isGood(next, at: Self.start + .milliseconds(2_999)))
        #expect(nonces.isGood(next, at: Self.start + .milliseconds(3_000)))
        #expect(!nonces.isGood(nonces.nonce(at: Self.start + .seconds(10)), at: Self.start + .milliseconds(4_999)))
    }

    @Test("nodes with the same key take each other's; a key that no longer makes them is still taken; another key's are not")
    func keys() {
        let (old, new) = (DPoPNonces(keys: [Self.key(1)]), DPoPNonces(keys: [Self.key(2), Self.key(1)]))
        #expect(DPoPNonces(keys: [Self.key(1)]).isGood(old.nonce(at: Self.start), at: Self.start))
        #expect(new.isGood(old.nonce(at: Self.start), at: Self.start))
        #expect(!old.isGood(new.nonce(at: Self.start), at: Self.start))
        #expect(!DPoPNonces(keys: []).isGood(DPoPNonces(keys: []).nonce(at: Self.start), at: Self.start))
    }

    @Test("one that was changed is none; what is given out can stand in a header (§8.1)")
    func form() {
        let nonces = DPoPNonces(keys: [Self.key(1)])
        let nonce = nonces.nonce(at: Self.start)
        #expect(nonce.utf8.count == 22 && Base64URL.decode(nonce)?.count == 16)
        for text in ["", nonce + "A", String(nonce.dropLast()), "A" + nonce.dropFirst(), nonce.uppercased(), " " + nonce]
        where text != nonce {
            #expect(!nonces.isGood(text, at: Self.start))
        }
        // Times that no clock shows do not trap.
        for time in [Instant(milliseconds: .min), Instant(milliseconds: -1), Instant(milliseconds: .max)] {
            #expect(nonces.isGood(nonces.nonce(at: time), at: time))
        }
    }
}
