package import AuthCore
internal import Store

/// A value of the settings, read and checked by the kind of its key.
package enum SettingValue: Sendable {
    /// Of `text`, `choice`, `url` and `path`; a path is resolved.
    case text(String)
    case flag(Bool)
    case integer(Int64)
    case duration(Duration)
    /// In bytes.
    case size(Int64)
    case listener(ListenAddress)
    case secret(Secret<String>)
    /// The path of a secret's file that does not exist; only for `master_keys`, which may be made.
    case absentFile(String)
    case list([SettingValue])
}

extension SettingKey.Kind {
    /// What may be written, for messages and docs/configuration.md.
    package var allowed: String {
        switch self {
        case .text: "text"
        case .choice(let words): words.joined(separator: ", ")
        case .flag: "true, false"
        case .integer(let range): "\(range.lowerBound)…\(range.upperBound)"
        case .duration(let range):
            "\(DurationText.format(range.lowerBound))…\(DurationText.format(range.upperBound)), a whole number and one of ms s m h d"
        case .size(let range):
            "\(SizeText.format(range.lowerBound))…\(SizeText.format(range.upperBound)), a whole number and one of B KB MB"
        case .listener: "HOST:PORT or unix:PATH"
        case .path: "a path"
        case .url: "an http or https URL"
        case .secret: "text, file:PATH or env:NAME"
        case .list(let kind): "a list of: \(kind.allowed)"
        }
    }
}

/// The contract's way to write a size: a whole number and one of `B KB MB`, in thousands.
enum SizeText {
    private static let units: [(name: String, bytes: Int64)] = [("MB", 1_000_000), ("KB", 1_000), ("B", 1)]

    static func parse(_ text: String) -> Int64? {
        guard let (count, unit) = NumberText.split(text), let factor = units.first(where: { $0.name.isSameBytes(as: unit) })
        else { return nil }
        let (product, overflow) = count.multipliedReportingOverflow(by: factor.bytes)
        return overflow ? nil : product
    }

    static func format(_ bytes: Int64) -> String {
        for unit in units where bytes % unit.bytes == 0 && bytes != 0 { return "\(bytes / unit.bytes)\(unit.name)" }
        return "\(bytes)B"
    }
}

/// Reads the text of one value.
struct SettingReader {
    /// The longest value, in bytes; a list has one for each element.
    static let bytesMax = 4_096

    /// The folder that relative paths are relative to.
    let base: String

    /// What is wrong with a value; what is allowed is said by the kind.
    struct Fault: Error {
        let message: String
    }

    /// - Parameter kind: No list and no secret.
    func value(_ text: String, _ kind: SettingKey.Kind) throws(Fault) -> SettingValue {
        guard text.utf8.count <= SettingReader.bytesMax else { throw Fault(message: "is too long") }
        guard text.utf8.allSatisfy({ $0 >= 0x20 && $0 != 0x7F }) else { throw Fault(message: "has control characters") }
        if text.isEmpty { throw Fault(message: "is empty") }
        switch kind {
        case .text, .url, .secret, .list: return .text(text)
        case .choice(let words):
            guard words.contains(where: { $0.isSameBytes(as: text) }) else { throw Fault(message: "is not one of the allowed words") }
            return .text(text)
        case .flag:
            if text.isSameBytes(as: "true") { return .flag(true) }
            if text.isSameBytes(as: "false") { return .flag(false) }
            throw Fault(message: "is neither true nor false")
        case .integer(let range):
            guard let (number, rest) = NumberText.split(text), rest.isEmpty else { throw Fault(message: "is no whole number") }
            guard range.contains(number) else { throw Fault(message: "is out of range") }
            return .integer(number)
        case .duration(let range):
            guard let duration = DurationText.parse(text) else { throw Fault(message: "is no duration") }
            guard range.contains(duration) else { throw Fault(message: "is out of range") }
            return .duration(duration)
        case .size(let range):
            guard let size = SizeText.parse(text) else { throw Fault(message: "is no size") }
            guard range.contains(size) else { throw Fault(message: "is out of range") }
            return .size(size)
        case .listener:
            guard let address = ListenAddress(text, base: base) else { throw Fault(message: "is no address to listen on") }
            return .listener(address)
        case .path:
            guard let path = FilePath.resolve(text, base: base) else { throw Fault(message: "is no path") }
            return .text(path)
        }
    }
}
