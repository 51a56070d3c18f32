import AuthCore
import Testing

@Suite("RFC 4648 §5: base64url, one text for each sequence of bytes (JW-15)")
struct Base64URLTests {
    @Test("the vectors of RFC 4648 §10, without padding")
    func vectors() {
        for (plain, text) in [
            ("", ""), ("f", "Zg"), ("fo", "Zm8"), ("foo", "Zm9v"), ("foob", "Zm9vYg"), ("fooba", "Zm9vYmE"), ("foobar", "Zm9vYmFy"),
        ] {
            #expect(Base64URL.encode(Array(plain.utf8)) == text)
            #expect(Base64URL.decode(text) == Array(plain.utf8))
        }
        #expect(Base64URL.encode([0xFB, 0xFF, 0xBF]) == "-_-_")
    }

    @Test("padding, white space, the other alphabet, stray bits and other bytes are refused")
    func strict() {
        for text in [
            "Zg==", "Zg=", "Zm9v=", "=", " Zm8", "Zm8 ", "Zm\n8", "Zm8\r\n", "-_+/", "+A", "/A", "Zh", "Zm9", "A", "AAAAA", "Zm8\u{0}", "Ａ",
            "Zm.v", "%3D",
        ] {
            #expect(Base64URL.decode(text) == nil, "\(text)")
        }
        for byte in UInt8.min...UInt8.max {
            let isAlphabet = byte == 0x2D || byte == 0x5F || (0x30...0x39) ~= byte || (0x41...0x5A) ~= byte || (0x61...0x7A) ~= byte
            #expect((Base64URL.decode([0x41, 0x41, byte, 0x41]) != nil) == isAlphabet, "\(byte)")
        }
    }

    @Test("of all texts of two and three characters exactly one stands for each value")
    func canonical() {
        let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_".utf8)
        var one: Set<[UInt8]> = []
        var accepted = 0
        for first in alphabet {
            for second in alphabet {
                guard let bytes = Base64URL.decode([first, second]) else { continue }
                accepted += 1
                one.insert(bytes)
            }
        }
        #expect(accepted == 256)
        #expect(one.count == 256)
        #expect(alphabet.filter { Base64URL.decode([UInt8(ascii: "A"), UInt8(ascii: "A"), $0]) != nil }.count == 16)
    }

    @Test("what is encoded is decoded again, from any collection")
    func roundTrip() {
        var random = Seeded(9)
        for count in 0..<200 {
            let bytes = (0..<count).map { _ in UInt8.random(in: 0...255, using: &random) }
            let text = Base64URL.encodedBytes(bytes)
            #expect(Base64URL.decode(text) == bytes)
            #expect(Base64URL.decode(text.lazy.map { $0 }) == bytes)
            #expect(Base64URL.decode(([0x2E] + text)[1...]) == bytes)
            #expect(Base64.decode(Base64.encode(bytes).utf8) == bytes)
        }
    }

    @Test("standard base64 wants its padding, its alphabet, and no stray bits")
    func standard() {
        #expect(Base64.encode([0xFB, 0xFF]) == "+/8=")
        #expect(Base64.decode("+/8=".utf8) == [0xFB, 0xFF])
        for text in ["+/8", "-_8=", "+/9=", "Zg=", "Zg===", "====", "=", "Z===", "Zg==Zg==", "Zm8=\n", " Zm8", "Zm=8"] {
            #expect(Base64.decode(text.utf8) == nil, "\(text)")
        }
    }
}
