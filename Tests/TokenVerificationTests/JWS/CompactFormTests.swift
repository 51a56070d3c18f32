import AuthCore
import Testing
import TokenVerification

@Suite("RFC 7515 §7.1: the compact form, and nothing else")
struct CompactFormTests {
    @Test("every proper part of a token, and anything added to it, is refused")
    func cut() throws {
        let presented = try Presented()
        let verifier = try presented.verifier()
        let token = try presented.token()
        #expect(verifier.outcome(token, presented.requirements) == "accept")
        for count in 0..<token.count {
            #expect(verifier.outcome(Array(token[..<count]), presented.requirements) != "accept", "\(count)")
        }
        for byte in UInt8.min...UInt8.max {
            #expect(verifier.outcome(token + [byte], presented.requirements) != "accept", "\(byte)")
            #expect(verifier.outcome([byte] + token, presented.requirements) != "accept", "\(byte)")
        }
    }

    @Test("every single flipped bit of a token is refused (JW-15, JW-17)")
    func flipped() throws {
        let presented = try Presented()
        let verifier = try presented.verifier()
        let token = try presented.token()
        for index in token.indices {
            for bit in 0..<8 where (index * 8 + bit) % 7 == 0 {
                var flipped = token
                flipped[index] ^= 1 << UInt8(bit)
                #expect(verifier.outcome(flipped, presented.requirements) != "accept", "\(index) \(bit)")
            }
        }
    }

    @Test("JW-14, JW-15, JW-16, CVE-2025-30204, CVE-2016-9122: what is not three canonical base64url parts is malformed")
    func shapes() throws {
        let presented = try Presented()
        let verifier = try presented.verifier()
        let token = String(decoding: try presented.token(), as: UTF8.self)
        let parts = token.split(separator: ".").map(String.init)
        let long = String(repeating: "A", count: 16_385)
        let rows = [
            "", ".", "..", "...", "a", "a.b", "a.b.c.d", ".\(parts[1]).\(parts[2])", "\(parts[0])..\(parts[2])", "\(token).", "\(token)..",
            ".\(token)", "\(parts[0]).\(parts[1])", "\(parts[0])=.\(parts[1]).\(parts[2])", "\(parts[0]).\(parts[1])=.\(parts[2])",
            "\(token)=", "\(token)==", " \(token)", "\(token) ", "\(token)\n", "\(parts[0]). \(parts[1]).\(parts[2])",
            "\(parts[0]).\(parts[1])\r\n.\(parts[2])", "\(parts[0])+.\(parts[1]).\(parts[2])", "\(parts[0])/.\(parts[1]).\(parts[2])",
            "\(parts[0]).\(parts[1]).\(parts[2])%3D", "Bearer \(token)", "\"\(token)\"", String(repeating: ".", count: 100_000),
            String(repeating: ".", count: 16_384), long, "\(long).\(long).\(long)", "\(parts[0]).\(long).\(parts[2])",
            #"{"payload":"\#(parts[1])","protected":"\#(parts[0])","signature":"\#(parts[2])"}"#,
            #"{"payload":"\#(parts[1])","signatures":[{"protected":"\#(parts[0])","signature":"\#(parts[2])"}]}"#,
            "\(parts[0]).\(parts[1]).\(parts[2]).\(parts[0]).\(parts[1])",
        ]
        for row in rows { #expect(verifier.outcome(Array(row.utf8), presented.requirements) == "malformed", "\(row.prefix(60))") }
        #expect(verifier.outcome([0xFF, 0x2E, 0xFE, 0x2E, 0x80], presented.requirements) == "malformed")
        #expect(verifier.cacheBytes == 0)
    }

    @Test("JW-13, JW-14, JW-21: header and payload are one JSON object each, with no member twice, no depth, no mass")
    func jsonShapes() throws {
        let presented = try Presented()
        let verifier = try presented.verifier()
        let header = JSONValue.object(presented.header).encoded
        let payload = JSONValue.object(presented.claims).encoded
        func outcome(_ header: [UInt8], _ payload: [UInt8]) throws -> String {
            verifier.outcome(try Presented.token(header: header, payload: payload, key: presented.key), presented.requirements)
        }
        #expect(try outcome(header, payload) == "accept")
        #expect(try outcome([0x20] + header + [0x0A], [0x09] + payload) == "accept")
        let deep = String(repeating: "[", count: 40) + String(repeating: "]", count: 40)
        let wide = "[" + (0..<1_100).map { "\($0)" }.joined(separator: ",") + "]"
        let body = String(decoding: payload.dropFirst().dropLast(), as: UTF8.self)
        let head = String(decoding: header.dropFirst().dropLast(), as: UTF8.self)
        for text in [
            "", "{", "[]", "null", "1", "\"x\"", "{\(body),\"exp\":9999999999}", "{\(body),\"e\\u0078p\":9999999999}", "{\(body),}",
            "{\(body)}{}", "{\(body)} x", "\u{FEFF}{\(body)}", "{\(body),\"x\":\(deep)}", "{\(body),\"x\":\(wide)}",
            "{\(body),\"x\":\"\\ud800\"}",
            "{\(body),'x':1}", "{\(body),\"x\":01}", "{\(body),\"x\":NaN}", String(decoding: try presented.token(), as: UTF8.self),
        ] {
            #expect(try outcome(header, Array(text.utf8)) == "malformed", "\(text.prefix(60))")
        }
        for text in [
            "", "[]", "null", "{\(head),\"alg\":\"ES256\"}", "{\(head),\"alg\":\"none\"}", "{\(head),\"x\":\(deep)}", "{\(head),}",
        ] {
            #expect(try outcome(Array(text.utf8), payload) == "malformed", "\(text.prefix(60))")
        }
        #expect(try outcome(header, Array("{\(body),\"x\":\"".utf8) + [0xFF] + Array("\"}".utf8)) == "malformed")
    }

    @Test("CVE-2022-21449, JW-17: an ECDSA signature has its exact length and r and s from 1 to n − 1")
    func signatureValues() throws {
        let order = unhexed("ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551")
        let zero = [UInt8](repeating: 0, count: 32)
        let one = [UInt8](repeating: 0, count: 31) + [1]
        let presented = try Presented()
        let verifier = try presented.verifier()
        let token = try presented.token()
        let dot = try #require(token.lastIndex(of: UInt8(ascii: ".")))
        let signature = try #require(Base64URL.decode(token[(dot + 1)...]))
        for bad in [
            [], zero, zero + zero, one + zero, zero + one, order + order, order + one, one + order, one + one, signature + [0],
            [0] + signature,
            Array(signature.dropLast()), Array(signature.dropFirst()), signature + signature, Array(signature.prefix(32)),
            [0x30, 0x44, 2, 32] + signature.prefix(32) + [2, 32] + signature.suffix(32),
        ] {
            let altered = Array(token[...dot]) + Base64URL.encodedBytes(bad)
            #expect(verifier.outcome(altered, presented.requirements) == "bad_signature", "\(bad.count)")
        }
    }

    @Test("a token of exactly 16 KiB is read, one byte more is not")
    func longest() throws {
        var presented = try Presented()
        let verifier = try presented.verifier()
        let base = try presented.token().count
        var accepted = 0
        for padding in 11_000..<12_300 where base + padding * 4 / 3 > 16_360 && base + padding * 4 / 3 < 16_400 {
            presented.claims["x"] = .string(String(repeating: "x", count: padding))
            let token = try presented.token()
            let expected = token.count <= 16_384 ? "accept" : "malformed"
            if token.count <= 16_384 { accepted += 1 }
            #expect(verifier.outcome(token, presented.requirements) == expected, "\(token.count)")
        }
        #expect(accepted > 3)
    }

    @Test("a token in a discontiguous collection is read like any other")
    func collections() throws {
        let presented = try Presented()
        let verifier = try presented.verifier()
        let token = try presented.token()
        var none: TokenExplanation?
        let now = Instant(seconds: Presented.now)
        let slice = ([0x20] + token)[1...]
        #expect(
            verifier.decide(slice, for: presented.requirements, now: now, uptime: .zero, whenStale: .refuse, explaining: &none).name
                == "accept")
        let lazy = token.lazy.map { $0 }
        #expect(
            verifier.decide(lazy, for: presented.requirements, now: now, uptime: .zero, whenStale: .refuse, explaining: &none).name
                == "accept")
        let endless = repeatElement(UInt8(ascii: "A"), count: 1 << 40)
        #expect(
            verifier.decide(endless, for: presented.requirements, now: now, uptime: .zero, whenStale: .refuse, explaining: &none).name
                == "malformed")
    }
}
