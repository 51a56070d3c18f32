import AuthCore
import Settings
import Store
import TokenKeys

/// Gets the master keys, and makes the first one where that is allowed.
enum MasterKeyFile {
    /// - Throws: A sentence for the operator: a store with content and no key, or another key, is never started.
    static func open(
        _ setting: ServerSettings.MasterKeys, store: any Store, environment: Environment, log: Log
    ) async throws(StartFailure) -> MasterKeys {
        let identity: StoreIdentity
        do { identity = try await store.identity() } catch { throw StartFailure("the store cannot be read", error) }
        let keys: MasterKeys
        switch setting {
        case .keys(let secrets):
            do { keys = try MasterKeys(secrets) } catch { throw StartFailure("master_keys: a key is not 32 bytes in base64url") }
        case .makeOnFirstStart(let path):
            guard identity.masterKeyCheck == nil else {
                throw StartFailure(
                    "the master key \(path) is missing, but the store was made with one. Put the key back; without it nobody's tokens or keys can be read"
                )
            }
            keys = try make(path, environment)
            log(.info, "master_key_made", [("path", path)])
        }
        var check = identity.masterKeyCheck
        if check == nil {
            // Another node may claim the store at this moment: whose key it has been is read, not assumed.
            do {
                try await store.claim(masterKeyCheck: keys.check(of: identity.id))
                check = try await store.identity().masterKeyCheck
            } catch { throw StartFailure("the store cannot be written", error) }
        }
        guard let check, keys.made(check: check, of: identity.id) else {
            throw StartFailure("the store was made with another master key than the one in master_keys. Nothing was changed")
        }
        return keys
    }

    private static func make(_ path: String, _ environment: Environment) throws(StartFailure) -> MasterKeys {
        let key = environment.randomBytes(MasterKeys.keyBytes)
        do { try Files.makePrivate(path, Array((Base64URL.encode(key) + "\n").utf8)) } catch {
            throw StartFailure("the master key \(path) cannot be made: \(error)")
        }
        do { return try MasterKeys([Secret(key)]) } catch { throw StartFailure("the master key cannot be made") }
    }
}
