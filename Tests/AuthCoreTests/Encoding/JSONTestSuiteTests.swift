import AuthCore
import Foundation
import Testing

@Suite("IN-04, RFC 8259: JSONTestSuite")
struct JSONTestSuiteTests {
    private static let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent().appendingPathComponent("Vectors/json-testsuite")

    private func files(_ name: String) throws -> [(name: String, bytes: [UInt8])] {
        let folder = JSONTestSuiteTests.folder.appendingPathComponent(name)
        return try FileManager.default.contentsOfDirectory(atPath: folder.path).sorted().filter { $0.hasSuffix(".json") }.map {
            ($0, Array(try Data(contentsOf: folder.appendingPathComponent($0))))
        }
    }

    /// Files that the suite wants accepted and that are refused here by design: a member twice (RFC 8725 §2.4).
    private static let duplicates = ["y_object_duplicated_key.json", "y_object_duplicated_key_and_value.json"]

    /// Files where either is right and that are accepted: numbers that no integer holds are kept by their text.
    private static let acceptedEither = [
        "i_number_double_huge_neg_exp.json", "i_number_huge_exp.json", "i_number_neg_int_huge_exp.json",
        "i_number_pos_double_huge_exp.json",
        "i_number_real_neg_overflow.json", "i_number_real_pos_overflow.json", "i_number_real_underflow.json",
        "i_number_too_big_neg_int.json",
        "i_number_too_big_pos_int.json", "i_number_very_big_negative_int.json",
    ]

    @Test("every y_ file is accepted but the two with a member twice, every n_ file is refused, i_ files as listed")
    func parsing() throws {
        let files = try files("test_parsing")
        #expect(files.count == 318)
        for (name, bytes) in files {
            let error = self.error(bytes)
            switch name.prefix(2) {
            case "y_": #expect(error == (JSONTestSuiteTests.duplicates.contains(name) ? .duplicateMember : nil), "\(name)")
            case "n_": #expect(error != nil, "\(name)")
            default: #expect((error == nil) == JSONTestSuiteTests.acceptedEither.contains(name), "\(name) \(String(describing: error))")
            }
        }
    }

    @Test("the transform files: numbers keep their value, NFC and NFD are two names, a member twice is refused")
    func transform() throws {
        let files = try files("test_transform")
        #expect(files.count == 22)
        for (name, bytes) in files where name.hasPrefix("number_") { #expect(error(bytes) == nil, "\(name)") }
        for (name, bytes) in files where name.hasPrefix("object_same_key") { #expect(error(bytes) == .duplicateMember, "\(name)") }
        for (name, bytes) in files where name.hasPrefix("object_key_nf") {
            #expect(try JSONReader.read(bytes).object?.count == 2, "\(name)")
        }
        for (name, bytes) in files where name.contains("invalid_codepoint") { #expect(error(bytes) == .invalidUTF8, "\(name)") }
        for (name, bytes) in files where name == "string_with_escaped_NULL.json" {
            #expect(try JSONReader.read(bytes).array?.first?.string == "A\u{0}B")
        }
    }

    private func error(_ bytes: [UInt8]) -> JSONError? {
        do throws(JSONError) {
            _ = try JSONReader.read(bytes)
            return nil
        } catch {
            return error
        }
    }
}
