/// Where events are told to the operator: one line each, never with a secret.
///
/// A port: the composition root writes the lines; everything below only says what happened.
public struct Log: Sendable {
    public enum Level: Int, Sendable, Comparable, CaseIterable {
        case debug, info, warning, error

        public static func < (left: Level, right: Level) -> Bool { left.rawValue < right.rawValue }
    }

    /// A field of a line. Text of strangers is escaped by the writer, whatever the format.
    public typealias Field = (name: StaticString, value: String)

    private let minimum: Level
    private let write: @Sendable (_ level: Level, _ event: StaticString, _ fields: [Field]) -> Void

    public init(minimum: Level, write: @escaping @Sendable (_ level: Level, _ event: StaticString, _ fields: [Field]) -> Void) {
        self.minimum = minimum
        self.write = write
    }

    /// Drops every line.
    public static let silent = Log(minimum: .error) { _, _, _ in }

    /// - Parameter event: A short name in snake_case; the same for every such event.
    public func callAsFunction(_ level: Level, _ event: StaticString, _ fields: @autoclosure () -> [Field] = []) {
        if level >= minimum { write(level, event, fields()) }
    }
}
