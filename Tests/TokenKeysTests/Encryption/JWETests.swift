import AuthCore
import Crypto
import CryptoExtras
import Foundation
import Testing
import TokenVerification

@testable import TokenKeys

@Suite("RFC 7516, RFC 7518 §4 and §5: what is encrypted to a client")
struct JWETests {
    private static let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent().deletingLastPathComponent()

    private func cookbook(_ name: String) throws -> JSONObject {
        let file = Self.root.appendingPathComponent("Tests/Vectors/jose-cookbook/jwe/\(name).json")
        return try #require(try JSONReader.read(Array(try Data(contentsOf: file))).object)
    }

    private func bytes(_ text: String?) throws -> [UInt8] { try #require(Base64URL.decode(text ?? "?")) }
    private func bytes(_ key: SymmetricKey) -> [UInt8] { key.withUnsafeBytes { Array($0) } }

    private func jwk(_ text: String) throws -> JSONObject { try #require(try JSONReader.read(text).object) }

    @Test("RFC 7518 appendix C: the key that both sides derive")
    func appendixC() throws {
        let alice = try P256.KeyAgreement.PrivateKey(rawRepresentation: try bytes("0_NxaRPUMQoAJt50Gz8YiTr8gRTwyEaCumd-MToTmIo"))
        let bob = try P256.KeyAgreement.PublicKey(
            rawRepresentation: try bytes("weNJy2HscCSM6AEDTDg04biOvhFhyyWvOHQfeF_PxMQ")
                + bytes("e8lnCO-AlStT-NJVX-crhB7QRYhiix03illJOVAOyck"))
        let agreement = KeyAgreement("P-256", alice.publicKey.rawRepresentation, try alice.sharedSecretFromKeyAgreement(with: bob))
        #expect(agreement.epk["x"]?.string == "gI0GAILBdu7T53akrFmMyGcsF3n5dO7MmwNBHKW5SV0")
        #expect(agreement.epk["y"]?.string == "SLW_xSffzlPWrHEVI30DHM_4egVwt3NQqeUD7nMFpps")
        let key = agreement.key(for: "A128GCM", bytes: 16, partyU: Array("Alice".utf8), partyV: Array("Bob".utf8))
        #expect(Base64URL.encode(bytes(key)) == "VqqN6vgjbSBcIijNcacQGg")
    }

    @Test("RFC 7516 appendix A.1 and A.3: content and wrapped key, byte for byte")
    func appendixA() throws {
        let first: [UInt8] = [
            177, 161, 244, 128, 84, 143, 225, 115, 63, 180, 3, 255, 107, 154, 212, 246, 138, 7, 110, 91, 112, 46, 34, 105, 47, 130, 203,
            46, 122, 234, 64, 252,
        ]
        let one = try JWE.seal(
            Array("The true sign of intelligence is not knowledge but imagination.".utf8), with: .a256GCM, key: SymmetricKey(data: first),
            vector: [227, 197, 117, 252, 2, 219, 233, 68, 180, 225, 77, 219],
            authenticating: Array("eyJhbGciOiJSU0EtT0FFUCIsImVuYyI6IkEyNTZHQ00ifQ".utf8))
        #expect(
            Base64URL.encode(one.ciphertext) == "5eym8TW_c8SuK0ltJ3rpYIzOeDQz7TALvtu6UG9oMo4vpzs9tX_EFShS8iB7j6jiSdiwkIr3ajwQzaBtQD_A")
        #expect(Base64URL.encode(one.tag) == "XFBoMYUZodetZdvTiFvSkQ")
        let third: [UInt8] = [
            4, 211, 31, 197, 84, 157, 252, 254, 11, 100, 157, 250, 63, 170, 106, 206, 107, 124, 212, 45, 111, 107, 9, 219, 200, 177, 0,
            240, 143, 156, 44, 207,
        ]
        let wrapped = try AES.KeyWrap.wrap(
            SymmetricKey(data: third), using: SymmetricKey(data: try bytes("GawgguFyGrWKav7AX4VKUg")))
        #expect(Base64URL.encode(Array(wrapped)) == "6KB707dM9YTIgHtLvtgWQ8mKwboJW3of9locizkDTHzBC2IlrT1oOQ")
        let two = try JWE.seal(
            Array("Live long and prosper.".utf8), with: .a128CBCHS256, key: SymmetricKey(data: third),
            vector: [3, 22, 60, 12, 43, 67, 104, 105, 108, 108, 105, 99, 111, 116, 104, 101],
            authenticating: Array("eyJhbGciOiJBMTI4S1ciLCJlbmMiOiJBMTI4Q0JDLUhTMjU2In0".utf8))
        #expect(Base64URL.encode(two.ciphertext) == "KDlTtXchhZTGufMYmOYGS4HffxPSUrfmqCHXaI9wOGY")
        #expect(Base64URL.encode(two.tag) == "U0m_YmjN04DJvceFICbCVQ")
    }

    @Test("RFC 7518 appendix B.1 and B.3: AES-CBC with HMAC")
    func appendixB() throws {
        let text =
            "A cipher system must not be required to be secret, and it must be able to fall into the hands of the enemy without inconvenience"
        let vector: [UInt8] = [0x1A, 0xF3, 0x8C, 0x2D, 0xC2, 0xB9, 0x6F, 0xFD, 0xD8, 0x66, 0x94, 0x09, 0x23, 0x41, 0xBC, 0x04]
        func tag(_ encryption: ContentEncryption) throws -> String {
            try JWE.seal(
                Array(text.utf8), with: encryption, key: SymmetricKey(data: (0..<UInt8(encryption.keyBytes)).map { $0 }), vector: vector,
                authenticating: Array("The second principle of Auguste Kerckhoffs".utf8)
            ).tag.map { String($0 >> 4, radix: 16) + String($0 & 15, radix: 16) }.joined()
        }
        #expect(try tag(.a128CBCHS256) == "652c3fa36b0a7c5b3219fab3a30bc1c4")
        #expect(try tag(.a256CBCHS512) == "4dd3b4c088a7f45c216839645b2012bf2e6269a8c56a816dbc1b267761955bc5")
    }

    @Test(
        "RFC 7520 §5.4 and §5.5: ECDH-ES with and without a wrapped key",
        arguments: [
            "5_4.key_agreement_with_key_wrapping_using_ecdh-es_and_aes-keywrap_with_aes-gcm",
            "5_5.key_agreement_using_ecdh-es_with_aes-cbc-hmac-sha2",
        ])
    func cookbookAgreement(_ name: String) throws {
        let example = try cookbook(name)
        let (input, ephemeral) = (try #require(example["input"]?.object), try #require(example["encrypting_key"]?.object?["epk"]?.object))
        let algorithm = try #require(KeyManagementAlgorithm.named(input["alg"]?.string ?? ""))
        let encryption = try #require(ContentEncryption.named(input["enc"]?.string ?? ""))
        var recipient = try #require(input["key"]?.object)
        recipient["d"] = nil
        let key = try EncryptionKey(jwk: recipient, algorithm: algorithm)
        let (curve, d) = (try #require(ephemeral["crv"]?.string), try bytes(ephemeral["d"]?.string))
        let agreement: KeyAgreement
        switch key.material {
        case .p256(let point):
            let own = try P256.KeyAgreement.PrivateKey(rawRepresentation: d)
            agreement = KeyAgreement(curve, own.publicKey.rawRepresentation, try own.sharedSecretFromKeyAgreement(with: point))
        case .p384(let point):
            let own = try P384.KeyAgreement.PrivateKey(rawRepresentation: d)
            agreement = KeyAgreement(curve, own.publicKey.rawRepresentation, try own.sharedSecretFromKeyAgreement(with: point))
        default: throw JWEError.unusableKey
        }
        let content = try #require(example["encrypting_content"]?.object)
        #expect(JSONValue.object(agreement.epk) == content["protected"]?.object?["epk"])
        var contentKey = agreement.key(for: encryption.rawValue, bytes: encryption.keyBytes)
        if let wrappingBytes = algorithm.wrappingKeyBytes {
            contentKey = SymmetricKey(data: try bytes(example["generated"]?.object?["cek"]?.string))
            let wrapped = try AES.KeyWrap.wrap(contentKey, using: agreement.key(for: algorithm.rawValue, bytes: wrappingBytes))
            #expect(Base64URL.encode(Array(wrapped)) == example["encrypting_key"]?.object?["encrypted_key"]?.string)
        } else {
            #expect(Base64URL.encode(bytes(contentKey)) == example["encrypting_key"]?.object?["cek"]?.string)
        }
        try expectContent(example, contentKey, encryption)
    }

    @Test("RFC 7520 §5.2: RSA-OAEP with AES-GCM")
    func cookbookRSA() throws {
        let example = try cookbook("5_2.key_encryption_using_rsa-oaep_with_aes-gcm")
        let contentKey = SymmetricKey(data: try bytes(example["generated"]?.object?["cek"]?.string))
        try expectContent(example, contentKey, .a256GCM)
    }

    private func expectContent(_ example: JSONObject, _ key: SymmetricKey, _ encryption: ContentEncryption) throws {
        let content = try #require(example["encrypting_content"]?.object)
        let sealed = try JWE.seal(
            Array((example["input"]?.object?["plaintext"]?.string ?? "").utf8), with: encryption, key: key,
            vector: try bytes(example["generated"]?.object?["iv"]?.string),
            authenticating: Array((content["protected_b64u"]?.string ?? "").utf8))
        #expect(Base64URL.encode(sealed.ciphertext) == content["ciphertext"]?.string)
        #expect(Base64URL.encode(sealed.tag) == content["tag"]?.string)
    }

    private static let rsa = Result { try _RSA.Signing.PrivateKey(keySize: .bits2048) }

    @Test("joserfc, which we did not write, opens every combination, and finds the signed JWT in it")
    func joserfc() throws {
        let ec = [
            try jwk(
                #"{"kty":"EC","crv":"P-256","kid":"e1","use":"enc","x":"weNJy2HscCSM6AEDTDg04biOvhFhyyWvOHQfeF_PxMQ","y":"e8lnCO-AlStT-NJVX-crhB7QRYhiix03illJOVAOyck"}"#
            ),
            p384, p521,
        ]
        let signed = "eyJhbGciOiJFUzI1NiJ9.e30.c2lnbmF0dXJl"
        var cases: [JSONValue] = []
        for algorithm in KeyManagementAlgorithm.allCases {
            for encryption in ContentEncryption.allCases {
                for (number, key) in (algorithm.isRSA ? [try rsaPublic()] : ec).enumerated() {
                    let recipient = try EncryptionKey(jwk: key, algorithm: algorithm)
                    let text = try JWE.encrypt(signed, to: recipient, with: encryption, environment: .live)
                    let other = try JWE.encrypt(signed, to: recipient, with: encryption, environment: .live)
                    #expect(text != other)
                    let parts = text.split(separator: ".", omittingEmptySubsequences: false)
                    #expect(parts.count == 5 && parts[1].isEmpty == (algorithm == .ecdhES))
                    cases.append(
                        .object(
                            JSONObject([
                                ("jwe", .string(text)), ("alg", .string(algorithm.rawValue)), ("enc", .string(encryption.rawValue)),
                                ("key", .string(algorithm.isRSA ? "rsa" : "ec\(number)")),
                            ])))
                }
            }
        }
        let keys = JSONObject([
            ("rsa", .string(try Self.rsa.get().pemRepresentation)),
            ("ec0", .object(try with(ec[0], d: "VEmDZpDXXK8p8N0Cndsxs924q6nS1RXFASRl6BfUqdw"))),
            ("ec1", .object(try with(ec[1], d: Base64URL.encode(Array(Self.own384.rawRepresentation))))),
            ("ec2", .object(try with(ec[2], d: Base64URL.encode(Array(Self.own521.rawRepresentation))))),
        ])
        let input = JSONObject([("keys", .object(keys)), ("cases", .array(cases)), ("plain", .string(signed))])
        #expect(cases.count == 2 * 4 + 3 * 4 * 3)
        #expect(
            try python("open_jwe.py", JSONValue.object(input).encoded) == "\(cases.count) opened, \(cases.count) altered ones refused\n")
    }

    private static let own384 = P384.KeyAgreement.PrivateKey()
    private static let own521 = P521.KeyAgreement.PrivateKey()
    private var p384: JSONObject { point("P-384", Array(Self.own384.publicKey.rawRepresentation)) }
    private var p521: JSONObject { point("P-521", Array(Self.own521.publicKey.rawRepresentation)) }

    private func point(_ curve: String, _ bytes: [UInt8]) -> JSONObject {
        JSONObject([
            ("kty", .string("EC")), ("crv", .string(curve)), ("x", .string(Base64URL.encode(bytes.prefix(bytes.count / 2)))),
            ("y", .string(Base64URL.encode(bytes.suffix(bytes.count / 2)))),
        ])
    }

    private func with(_ jwk: JSONObject, d: String) throws -> JSONObject {
        var jwk = jwk
        jwk["d"] = .string(d)
        return jwk
    }

    private func rsaPublic() throws -> JSONObject {
        let numbers = try Self.rsa.get().publicKey.getKeyPrimitives()
        return JSONObject([
            ("kty", .string("RSA")), ("kid", .string("r1")), ("n", .string(Base64URL.encode(Array(numbers.modulus)))),
            ("e", .string(Base64URL.encode(Array(numbers.publicExponent)))),
        ])
    }

    /// Runs a script of Tests/clients in the environment that `make setup` makes.
    private func python(_ script: String, _ input: [UInt8]) throws -> String {
        let process = Process()
        process.executableURL = Self.root.appendingPathComponent(".tools/venv/bin/python")
        process.arguments = [Self.root.appendingPathComponent("Tests/clients/\(script)").path]
        let (stdin, stdout) = (Pipe(), Pipe())
        process.standardInput = stdin
        process.standardOutput = stdout
        try process.run()
        try stdin.fileHandleForWriting.write(contentsOf: Data(input))
        try stdin.fileHandleForWriting.close()
        let output = try stdout.fileHandleForReading.readToEnd() ?? Data()
        process.waitUntilExit()
        #expect(process.terminationStatus == 0)
        return String(decoding: output, as: UTF8.self)
    }

    @Test("what is too long, and nothing else, is refused")
    func length() throws {
        let key = try EncryptionKey(jwk: p384, algorithm: .ecdhES)
        let most = String(repeating: "a", count: JWE.contentBytesMax)
        #expect(throws: Never.self) { try JWE.encrypt(most, to: key, with: .a256GCM, environment: .live) }
        #expect(throws: JWEError.tooLong) { try JWE.encrypt(most + "a", to: key, with: .a256GCM, environment: .live) }
    }

    @Test("the header has alg, enc, kid, cty and epk, and nothing of the content")
    func header() throws {
        let key = try EncryptionKey(jwk: try rsaPublic(), algorithm: .rsaOAEP256)
        let text = try JWE.encrypt("a.b.c", to: key, with: .a128GCM, environment: .live)
        let header = try #require(try JSONReader.read(try bytes(String(text.prefix { $0 != "." }))).object)
        #expect(header.names == ["alg", "enc", "kid", "cty"])
        #expect(header["kid"]?.string == "r1" && header["cty"]?.string == "JWT" && header["alg"]?.string == "RSA-OAEP-256")
    }

    @Test("the key of a client's set: for encryption, of the algorithm and of its kind (OpenID Connect Core §10.2.1)")
    func selection() throws {
        func set(_ keys: [JSONObject]) -> JSONObject { JSONObject([("keys", .array(keys.map { .object($0) }))]) }
        func key(_ base: JSONObject, _ id: String, _ members: [(String, JSONValue)] = []) -> JSONObject {
            var key = base
            key["kid"] = .string(id)
            for (name, value) in members { key[name] = value }
            return key
        }
        let rsa = try rsaPublic()
        let keys = [
            key(p384, "sig", [("use", .string("sig"))]), key(p384, "es384", [("alg", .string("ES384"))]),
            key(p384, "signing", [("key_ops", .array([.string("verify")]))]), key(rsa, "rsa-any"), key(p384, "any"),
            key(rsa, "rsa-enc", [("use", .string("enc")), ("alg", .string("RSA-OAEP"))]),
            key(p384, "enc", [("use", .string("enc")), ("alg", .string("ECDH-ES+A256KW"))]),
            key(p384, "bad", [("use", .string("enc")), ("x", .string(Base64URL.encode([UInt8](repeating: 1, count: 48))))]),
        ]
        func selected(_ algorithm: KeyManagementAlgorithm) throws -> Identifier? {
            try EncryptionKey.selected(from: set(keys), for: algorithm)?.id
        }
        #expect(try selected(.ecdhESA256KW) == "enc")
        #expect(try selected(.ecdhES) == "any")
        #expect(try selected(.rsaOAEP) == "rsa-enc")
        #expect(try selected(.rsaOAEP256) == "rsa-any")
        #expect(try EncryptionKey.selected(from: set(Array(keys.prefix(3))), for: .ecdhES) == nil)
        #expect(throws: KeySetError.secretKey) {
            try EncryptionKey.selected(from: set(keys + [key(rsa, "x", [("d", .string("AA"))])]), for: .rsaOAEP)
        }
        #expect(throws: JWKError.invalidPoint) { try EncryptionKey(jwk: keys[7], algorithm: .ecdhES) }
        #expect(throws: JWKError.unsupportedKeyType) { try EncryptionKey(jwk: rsa, algorithm: .ecdhES) }
        #expect(throws: JWKError.weakKey) {
            try EncryptionKey(
                jwk: key(rsa, "w", [("n", .string(Base64URL.encode([UInt8](repeating: 0xFF, count: 128))))]), algorithm: .rsaOAEP)
        }
        for name in ["RSA1_5", "dir", "PBES2-HS256+A128KW", "A128KW", "rsa-oaep", "none", ""] {
            #expect(KeyManagementAlgorithm.named(name) == nil)
        }
    }
}
