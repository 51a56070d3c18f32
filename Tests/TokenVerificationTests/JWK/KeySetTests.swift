import AuthCore
import Testing
import TokenVerification

@Suite("RFC 7517 §5: key sets")
struct KeySetTests {
    private func set(_ keys: [JSONObject]) -> JSONObject { JSONObject([("keys", .array(keys.map { .object($0) }))]) }

    private func error(_ jwks: JSONObject) -> KeySetError? {
        do throws(KeySetError) {
            _ = try KeySet(jwks: jwks)
            return nil
        } catch {
            return error
        }
    }

    @Test("a key is found by the bytes of its kid")
    func lookup() throws {
        let keys = [try TestKey.es256("K").verification, try TestKey.edDSA("k").verification]
        let set = try KeySet(jwks: set(keys.map(\.publicJWK)))
        #expect(set.keys.map(\.id) == ["K", "k"])
        #expect(set.key("K")?.algorithm == .es256)
        #expect(set.key("k")?.algorithm == .edDSA)
        #expect(set.key("\u{212A}") == nil)
        #expect(KeySet.empty.key("K") == nil)
    }

    @Test("JK-02: two usable keys under one kid refuse the set")
    func duplicates() throws {
        let one = try TestKey.es256("k").verification
        let other = try TestKey.edDSA("k").verification
        #expect(error(set([one.publicJWK, other.publicJWK])) == .duplicateKeyID("k"))
        #expect(throws: KeySetError.duplicateKeyID("k")) { try KeySet(keys: [one, other]) }
        var unusable = other.publicJWK
        unusable["use"] = "enc"
        #expect(error(set([one.publicJWK, unusable])) == nil)
    }

    @Test("JW-03, JK-01: a private or symmetric key in a published set refuses the set")
    func secrets() throws {
        let good = try TestKey.es256("k").verification.publicJWK
        var secret = try TestKey.edDSA("d").verification.publicJWK
        secret["d"] = "AAAA"
        #expect(error(set([good, secret])) == .secretKey)
        #expect(error(set([good, try jsonObject(#"{"kty":"oct","k":"AAAA"}"#)])) == .secretKey)
    }

    @Test("a key that cannot verify is left out, and the others stay")
    func leftOut() throws {
        let good = try TestKey.es256("good").verification.publicJWK
        var short = try TestKey.rs256("short").verification.publicJWK
        short["n"] = .string(Base64URL.encode([UInt8](repeating: 0xC5, count: 128)))
        var offCurve = try TestKey.es256("off").verification.publicJWK
        offCurve["y"] = offCurve["x"]
        let set = try KeySet(
            jwks: set([
                short, offCurve, good, try jsonObject(#"{"kty":"XYZ","kid":"future"}"#),
                try jsonObject(#"{"kty":"EC","crv":"secp256k1","kid":"btc","x":"AA","y":"AA"}"#), JSONObject(),
            ]))
        #expect(set.keys.map(\.id) == ["good"])
    }

    @Test("a set has an array of at most 64 objects")
    func shape() throws {
        for text in ["{}", #"{"keys":{}}"#, #"{"keys":null}"#, #"{"keys":[1]}"#, #"{"keys":["x"]}"#] {
            #expect(error(try jsonObject(text)) == .notAKeySet, "\(text)")
        }
        let key = try TestKey.es256().verification.publicJWK
        func many(_ count: Int) -> JSONObject {
            set(
                (0..<count).map {
                    var copy = key
                    copy["kid"] = .string("k\($0)")
                    return copy
                })
        }
        #expect(error(many(64)) == nil)
        #expect(error(many(65)) == .tooManyKeys)
        #expect(error(set([])) == nil)
    }
}
