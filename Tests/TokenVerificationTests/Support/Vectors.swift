import AuthCore
import Foundation
import Testing

/// The public test data under Tests/Vectors.
enum Vectors {
    private static let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent().appendingPathComponent("Vectors")

    static func bytes(_ path: String) throws -> [UInt8] { Array(try Data(contentsOf: folder.appendingPathComponent(path))) }

    static func json(_ path: String) throws -> JSONObject {
        let limits = JSONReader.Limits(bytesMax: 4_000_000, depthMax: 32, valuesMax: 200_000)
        return try #require(try JSONReader.read(try bytes(path), limits: limits).object)
    }

    static func names(in path: String) throws -> [String] {
        try FileManager.default.contentsOfDirectory(atPath: folder.appendingPathComponent(path).path).sorted()
    }
}

/// One test of a Wycheproof file, with its group.
struct WycheproofCase {
    let group: JSONObject
    let test: JSONObject

    var id: Int64 { test["tcId"]?.int ?? -1 }
    var isValid: Bool { test["result"]?.string == "valid" }
    var message: [UInt8] { unhexed(test["msg"]?.string ?? "") }
    var signature: [UInt8] { unhexed(test["sig"]?.string ?? "") }

    static func all(_ name: String) throws -> [WycheproofCase] {
        let file = try Vectors.json("wycheproof/\(name).json")
        return (file["testGroups"]?.array ?? []).compactMap(\.object).flatMap { group in
            (group["tests"]?.array ?? []).compactMap(\.object).map { WycheproofCase(group: group, test: $0) }
        }
    }
}

func unhexed(_ text: String) -> [UInt8] {
    let digits = text.utf8.compactMap(hexDigit)
    return stride(from: 0, to: digits.count - 1, by: 2).map { digits[$0] << 4 | digits[$0 + 1] }
}
