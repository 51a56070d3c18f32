import AuthCore
import Testing
import TokenKeys

@Suite("Master keys: what is sealed opens only where it belongs")
struct MasterKeysTests {
    private func keys(_ seeds: UInt8...) throws -> MasterKeys {
        try MasterKeys(seeds.map { Secret([UInt8](repeating: $0, count: 32)) })
    }

    @Test("sealing and opening give the same bytes, and never the same text twice")
    func roundTrip() throws {
        let keys = try keys(1)
        let first = try keys.seal(Secret([1, 2, 3]), for: .signingKeys, context: "a")
        let second = try keys.seal(Secret([1, 2, 3]), for: .signingKeys, context: "a")
        #expect(first != second)
        #expect(try keys.open(first, for: .signingKeys, context: "a").exposed == [1, 2, 3])
    }

    @Test("another place, purpose or key, and every altered or missing byte, is refused")
    func refused() throws {
        let keys = try keys(1)
        let sealed = try keys.seal(Secret([1, 2, 3]), for: .signingKeys, context: "a")
        #expect(throws: MasterKeys.Failure.notAuthentic) { try keys.open(sealed, for: .signingKeys, context: "b") }
        #expect(throws: MasterKeys.Failure.notAuthentic) { try keys.open(sealed, for: .grants, context: "a") }
        #expect(throws: MasterKeys.Failure.unknownKey) { try self.keys(2).open(sealed, for: .signingKeys, context: "a") }
        for index in sealed.indices {
            var altered = sealed
            altered[index] ^= 1
            #expect(throws: MasterKeys.Failure.self) { try keys.open(altered, for: .signingKeys, context: "a") }
            #expect(throws: MasterKeys.Failure.self) { try keys.open(Array(sealed[..<index]), for: .signingKeys, context: "a") }
        }
    }

    @Test("the first key seals, all open")
    func rotation() throws {
        let old = try keys(1).seal(Secret([9]), for: .grants, context: "x")
        let both = try keys(2, 1)
        #expect(try both.open(old, for: .grants, context: "x").exposed == [9])
        let new = try both.seal(Secret([9]), for: .grants, context: "x")
        #expect(throws: MasterKeys.Failure.unknownKey) { try keys(1).open(new, for: .grants, context: "x") }
    }

    @Test("the check value belongs to one key and one store")
    func check() throws {
        let check = try keys(1).check(of: "store-1")
        #expect(try keys(2, 1).made(check: check, of: "store-1"))
        #expect(try !keys(2).made(check: check, of: "store-1"))
        #expect(try !keys(1).made(check: check, of: "store-2"))
    }

    @Test("a key is 32 bytes in base64url", arguments: ["", "AAAA", String(repeating: "A", count: 44), String(repeating: "=", count: 43)])
    func unusable(_ text: String) {
        #expect(throws: MasterKeys.Failure.unusableKey) { try MasterKeys.decode(Secret(text)) }
        #expect(throws: MasterKeys.Failure.unusableKey) { try MasterKeys([]) }
    }
}
