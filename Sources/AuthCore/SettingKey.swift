/// One key of the settings, as data: from this table come parsing, checking, defaults and docs/configuration.md.
///
/// Each target declares its own keys beside the code they steer; only the composition root reads them.
public struct SettingKey: Sendable {
    public enum Kind: Sendable, Equatable {
        case text
        /// One of these words.
        case choice([String])
        case flag
        case integer(ClosedRange<Int64>)
        /// A whole number and one of `ms s m h d`.
        case duration(ClosedRange<Duration>)
        /// A whole number and one of `B KB MB`.
        case size(ClosedRange<Int64>)
        /// `host:port`, or `unix:PATH`.
        case listener
        /// A path, relative to the settings file.
        case path
        case url
        indirect case list(Kind)
        /// Text, or `file:PATH`, or `env:NAME`.
        case secret
    }

    /// With dots: `tokens.access_ttl`.
    public let name: String
    public let kind: Kind
    /// As it would be written in the file; nothing when there is no default.
    public let defaultText: String?
    /// One or two sentences for docs/configuration.md.
    public let documentation: String

    public init(_ name: String, _ kind: Kind, default defaultText: String?, _ documentation: String) {
        self.name = name
        self.kind = kind
        self.defaultText = defaultText
        self.documentation = documentation
    }

    public var isSecret: Bool { kind == .secret || kind == .list(.secret) }
    public var isList: Bool { if case .list = kind { true } else { false } }

    /// The environment variable: `GATEHOUSE_TOKENS_ACCESS_TTL`.
    public var environmentName: String {
        "GATEHOUSE_"
            + String(
                decoding: name.utf8.map { byte in
                    byte == UInt8(ascii: ".") || byte == UInt8(ascii: "-")
                        ? UInt8(ascii: "_") : byte & ((0x61...0x7A) ~= byte ? 0xDF : 0xFF)
                },
                as: UTF8.self
            )
    }
}
