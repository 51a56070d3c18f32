internal import Synchronization

/// Counters for Prometheus, with a bounded set of labels: whatever a stranger sends can make no new series
/// (CVE-2026-16100).
package final class Metrics: Sendable {
    /// The most series of one metric; beyond it everything is counted under `other`.
    package static let seriesMax = 200

    private struct Family {
        let help: StaticString
        let labels: [StaticString]
        var series: [[String]: Counter] = [:]
    }

    private struct Contents {
        var families: [String: Family] = [:]
        var gauges: [String: (help: StaticString, read: @Sendable () -> Int64)] = [:]
    }

    /// One series. Adding to it costs one atomic instruction.
    package final class Counter: Sendable {
        private let count = Atomic<Int64>(0)

        package var value: Int64 { count.load(ordering: .relaxed) }
        package func add() { count.wrappingAdd(1, ordering: .relaxed) }
    }

    private let contents = Mutex(Contents())

    package init() {}

    /// - Parameter name: In Prometheus' form, with `_total`.
    package func declare(_ name: String, _ help: StaticString, labels: [StaticString]) {
        contents.withLock { $0.families[name] = Family(help: help, labels: labels) }
    }

    package func gauge(_ name: String, _ help: StaticString, _ read: @escaping @Sendable () -> Int64) {
        contents.withLock { $0.gauges[name] = (help, read) }
    }

    /// Adds one. Nothing happens for a name that was not declared.
    package func count(_ name: String, _ labels: String...) { counter(name, labels)?.add() }

    /// The series with these labels, to be kept where it counts often; nothing for a name that was not declared.
    package func counter(_ name: String, _ labels: [String]) -> Counter? {
        contents.withLock { contents in
            guard let family = contents.families[name] else { return nil }
            if let counter = family.series[labels] { return counter }
            let key = family.series.count < Metrics.seriesMax ? labels : labels.map { _ in "other" }
            if let counter = family.series[key] { return counter }
            let counter = Counter()
            contents.families[name]?.series[key] = counter
            return counter
        }
    }

    /// The text exposition format, version 0.0.4.
    package func render() -> String {
        let (families, gauges) = contents.withLock { ($0.families, $0.gauges) }
        var text = ""
        for (name, family) in families.sorted(by: { $0.key < $1.key }) {
            text += "# HELP \(name) \(family.help)\n# TYPE \(name) counter\n"
            if family.labels.isEmpty, family.series.isEmpty { text += "\(name) 0\n" }
            for (labels, counter) in family.series.sorted(by: { $0.key.lexicographicallyPrecedes($1.key) }) {
                let value = counter.value
                let pairs = zip(family.labels, labels).map { "\($0)=\"\(Metrics.escaped($1))\"" }
                text += pairs.isEmpty ? "\(name) \(value)\n" : "\(name){\(pairs.joined(separator: ","))} \(value)\n"
            }
        }
        for (name, gauge) in gauges.sorted(by: { $0.key < $1.key }) {
            text += "# HELP \(name) \(gauge.help)\n# TYPE \(name) gauge\n\(name) \(gauge.read())\n"
        }
        return text
    }

    private static func escaped(_ label: String) -> String {
        String(
            decoding: label.utf8.flatMap { byte -> [UInt8] in
                switch byte {
                case UInt8(ascii: "\\"), UInt8(ascii: "\""): [UInt8(ascii: "\\"), byte]
                case 0x0A: [UInt8(ascii: "\\"), UInt8(ascii: "n")]
                default: [byte]
                }
            },
            as: UTF8.self
        )
    }
}
