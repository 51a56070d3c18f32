package import AuthCore
internal import Crypto
package import Store
package import TokenKeys

/// Client secrets as they are kept: HMAC-SHA-256 under a subkey of the master key.
///
/// A client secret has 128 bits or more, so no guessing is slowed by a password hash, and every token request would pay
/// for one (docs/decisions/0005).
package struct ClientSecrets: Sendable {
    private let keys: MasterKeys

    package init(keys: MasterKeys) { self.keys = keys }

    /// What is stored of a secret: its MAC; of a client that signs with it (`client_secret_jwt`) the secret itself, sealed.
    package func kept(_ secret: Secret<String>, of client: ClientDefinition) -> [UInt8] {
        guard client.metadata.authenticationMethod == .secretJWT else { return hash(secret, key: 0) }
        let plain = Secret(Array(secret.exposed.utf8))
        // Sealing fails for messages longer than 64 GB alone; the MAC then proves nothing, which is safe.
        let sealed = try? keys.seal(plain, for: .sealedClientSecrets, context: ClientSecrets.context(client.id))
        return sealed ?? hash(secret, key: 0)
    }

    /// Whether it is one of the client's, however they are kept.
    package func isSecret(_ secret: Secret<String>, of client: Client) -> Bool {
        let isSealed = sealed(of: client).contains { isEqualInConstantTime($0.exposed, Array(secret.exposed.utf8)) }
        return matches(secret, client.secretHashes) || isSealed
    }

    /// Those that were sealed, and are still in force. A MAC, from before the client began to sign with its secret, is none.
    func sealed(of client: Client) -> [Secret<[UInt8]>] {
        client.secretHashes.compactMap {
            // Sealed under a master key that is gone: it is no secret any more.
            try? keys.open($0, for: .sealedClientSecrets, context: ClientSecrets.context(client.id))
        }
    }

    private static func context(_ client: Identifier) -> String { "clients/\(client.text)" }

    private func hash(_ secret: Secret<String>, key: Int) -> [UInt8] {
        Array(HMAC<SHA256>.authenticationCode(for: Array(secret.exposed.utf8), using: keys.subkey(.clientSecrets, of: key)))
    }

    /// Compares with every secret in force, in a time that does not depend on which one matches.
    package func matches(_ secret: Secret<String>, _ hashes: [[UInt8]]) -> Bool {
        var matches = false
        for key in 0..<keys.count {
            let computed = hash(secret, key: key)
            for hash in hashes where isEqualInConstantTime(computed, hash) { matches = true }
        }
        return matches
    }
}
