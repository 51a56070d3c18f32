import AuthCore
import Foundation

/// One row of Tests/Vectors/wycheproof/pbkdf2_hmacsha256_test.json (C2SP/wycheproof, Apache-2.0).
struct PBKDF2Vector {
    let id: Int64
    let password: [UInt8]
    let salt: [UInt8]
    let rounds: Int
    let key: [UInt8]

    struct Unreadable: Error {}

    static func all() throws -> [PBKDF2Vector] {
        let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
        let data = try Data(contentsOf: folder.appendingPathComponent("Vectors/wycheproof/pbkdf2_hmacsha256_test.json"))
        let file = try JSONReader.read(data)
        var vectors: [PBKDF2Vector] = []
        for group in file.object?["testGroups"]?.array ?? [] {
            for row in group.object?["tests"]?.array ?? [] {
                guard let row = row.object, let id = row["tcId"]?.int, let password = bytes(row["password"]), let salt = bytes(row["salt"]),
                    let rounds = row["iterationCount"]?.int, let key = bytes(row["dk"]), row["result"]?.string == "valid"
                else { throw Unreadable() }
                vectors.append(PBKDF2Vector(id: id, password: password, salt: salt, rounds: Int(rounds), key: key))
            }
        }
        return vectors
    }

    private static func bytes(_ value: JSONValue?) -> [UInt8]? {
        guard let digits = value?.string.map({ Array($0.utf8) }), digits.count % 2 == 0 else { return nil }
        var bytes: [UInt8] = []
        for index in stride(from: 0, to: digits.count, by: 2) {
            guard let high = hexDigit(digits[index]), let low = hexDigit(digits[index + 1]) else { return nil }
            bytes.append(high << 4 | low)
        }
        return bytes
    }
}
