import AuthCore
import Crypto
import OAuthServer
import Store
import Testing
import TokenKeys

@Suite("Refresh tokens: computed, bound, and refused to the last bit (TK-16, TK-22)")
struct GrantCredentialTests {
    private func keys(_ seeds: UInt8...) throws -> MasterKeys { try MasterKeys(seeds.map { Secret([UInt8](repeating: $0, count: 32)) }) }

    private func grant(_ id: UInt8 = 1, secret: UInt8 = 5, client: Identifier = "c1") -> Grant {
        Grant(
            id: Identifier(Base64URL.encode([UInt8](repeating: id, count: 16))), sessionID: "s", accountID: "a", clientUID: client,
            clientID: "app",
            scope: .none, audiences: [], secret: Secret([UInt8](repeating: secret, count: 32)),
            rotation: RefreshRotation(startedAt: Instant(seconds: 0)), createdAt: Instant(seconds: 0), expiresAt: Instant(seconds: 1)
        )
    }

    private func make(_ grant: Grant, _ counter: Int64 = 1, issuer: Identifier = "https://i", keys: MasterKeys) -> Secret<String> {
        GrantCredential.make(.refreshToken, grant: grant, counter: counter, issuer: issuer, keys: keys)
    }

    @Test("what was made is read again, with its grant and counter", arguments: [Int64(1), 2, 1_000_000, .max])
    func roundTrip(_ counter: Int64) throws {
        let keys = try keys(1)
        let text = make(grant(), counter, keys: keys)
        #expect(text.exposed.utf8.count == GrantCredential.textBytes)
        let read = try #require(GrantCredential(text, keys: keys))
        #expect(read.counter == counter)
        #expect(read.grantID == grant().id)
        #expect(read.isAuthentic(for: grant(), issuer: "https://i", keys: keys))
    }

    @Test("every prefix, every further character and every changed character is refused before any database read")
    func altered() throws {
        let keys = try keys(1)
        let text = make(grant(), keys: keys).exposed
        for count in 0..<text.count { #expect(GrantCredential(Secret(String(text.prefix(count))), keys: keys) == nil) }
        #expect(GrantCredential(Secret(text + "A"), keys: keys) == nil)
        for index in text.utf8.indices {
            for replacement in ["A", "B", "=", "\u{0}"] where String(text[index]) != replacement {
                var altered = text
                altered.replaceSubrange(index...index, with: replacement)
                #expect(GrantCredential(Secret(altered), keys: keys) == nil)
            }
        }
    }

    @Test("the MAC covers issuer, client, grant and the row's secret")
    func bound() throws {
        let keys = try keys(1)
        let read = try #require(GrantCredential(make(grant(), keys: keys), keys: keys))
        #expect(!read.isAuthentic(for: grant(), issuer: "https://other", keys: keys))
        #expect(!read.isAuthentic(for: grant(secret: 6), issuer: "https://i", keys: keys))
        #expect(!read.isAuthentic(for: grant(client: "c2"), issuer: "https://i", keys: keys))
        #expect(!read.isAuthentic(for: grant(2), issuer: "https://i", keys: keys))
    }

    @Test("each byte of the MAC counts, whoever can make the tag (TK-22)")
    func wholeMAC() throws {
        let keys = try keys(1)
        let bytes = try #require(Base64URL.decode(Array(make(grant(), keys: keys).exposed.utf8.dropFirst(4))))
        for index in 26..<58 {
            var altered = Array(bytes.dropLast(8))
            altered[index] ^= 1
            // The tag is right again, as somebody with the master key alone could make it.
            altered += HMAC<SHA256>.authenticationCode(for: altered, using: keys.subkey(.grantTags)).prefix(8)
            let read = try #require(GrantCredential(Secret("ghr_" + Base64URL.encode(altered)), keys: keys))
            #expect(!read.isAuthentic(for: grant(), issuer: "https://i", keys: keys), "byte \(index)")
        }
    }

    @Test("another master key reads nothing; an old one still does")
    func masterKeys() throws {
        let text = make(grant(), keys: try keys(1))
        #expect(GrantCredential(text, keys: try keys(2)) == nil)
        let both = try keys(2, 1)
        let read = try #require(GrantCredential(text, keys: both))
        #expect(read.isAuthentic(for: grant(), issuer: "https://i", keys: both))
    }

    @Test("the MAC covers kind and counter too, whoever can make the tag (TK-22, CVE-2023-35941)")
    func wholeContent() throws {
        let keys = try keys(1)
        let grant = grant()
        let bytes = try #require(Base64URL.decode(Array(make(grant, 5, keys: keys).exposed.utf8.dropFirst(4))))
        func read(_ altered: [UInt8], _ prefix: String) -> GrantCredential? {
            var all = Array(altered.dropLast(8))
            all += HMAC<SHA256>.authenticationCode(for: all, using: keys.subkey(.grantTags)).prefix(8)
            return GrantCredential(Secret(prefix + Base64URL.encode(all)), keys: keys)
        }
        // Unchanged it is good, so the tag is made rightly here.
        #expect(read(bytes, "ghr_")?.isAuthentic(for: grant, issuer: "https://i", keys: keys) == true)
        for index in 18..<26 {
            var altered = bytes
            altered[index] ^= 1
            let credential = read(altered, "ghr_")
            #expect(credential?.counter != 5)
            #expect(credential?.isAuthentic(for: grant, issuer: "https://i", keys: keys) != true, "byte \(index)")
        }
        // A refresh token as a code, and a code as a refresh token, with everything else as it was.
        let kinds: [(GrantCredential.Kind, UInt8, String)] = [(.refreshToken, 2, "ghc_"), (.authorizationCode, 1, "ghr_")]
        for (kind, other, prefix) in kinds {
            let text = GrantCredential.make(kind, grant: grant, counter: 5, issuer: "https://i", keys: keys).exposed
            var altered = try #require(Base64URL.decode(Array(text.utf8.dropFirst(4))))
            altered[1] = other
            let credential = try #require(read(altered, prefix))
            #expect(credential.kind != kind && !credential.isAuthentic(for: grant, issuer: "https://i", keys: keys))
        }
    }

    @Test("no byte moves between the parts that the MAC covers: issuer and client, by their borders")
    func borders() throws {
        let keys = try keys(1)
        for (issuer, client, otherIssuer, otherClient) in [
            (Identifier("https://i"), Identifier("c1"), Identifier("https://ic"), Identifier("1")),
            ("https://i", "c1", "https://", "ic1"), ("https://ic", "1", "https://i", "c1"), ("https://ic1", "", "https://i", "c1"),
        ] {
            let read = try #require(GrantCredential(make(grant(client: client), issuer: issuer, keys: keys), keys: keys))
            #expect(read.isAuthentic(for: grant(client: client), issuer: issuer, keys: keys))
            #expect(!read.isAuthentic(for: grant(client: otherClient), issuer: otherIssuer, keys: keys), "\(issuer) \(client)")
        }
    }
}
