internal import Synchronization

/// Counters for Prometheus, with a bounded set of labels: whatever a stranger sends can make no new series
/// (CVE-2026-16100).
package final class Metrics: Sendable {
    /// The most series of one metric; beyond it everything is counted under `other`.
    package static let seriesMax = 200

    private struct Family {
        let help: StaticString
        let labels: [StaticString]
        var values: [[String]: Int64] = [:]
    }

    private struct Contents {
        var families: [String: Family] = [:]
        var gauges: [String: (help: StaticString, read: @Sendable () -> Int64)] = [:]
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
    package func count(_ name: String, _ labels: String...) {
        contents.withLock { contents in
            guard var family = contents.families.removeValue(forKey: name) else { return }
            let isKnown = family.values[labels] != nil || family.values.count < Metrics.seriesMax
            family.values[isKnown ? labels : labels.map { _ in "other" }, default: 0] += 1
            contents.families[name] = family
        }
    }

    /// The text exposition format, version 0.0.4.
    package func render() -> String {
        let (families, gauges) = contents.withLock { ($0.families, $0.gauges) }
        var text = ""
        for (name, family) in families.sorted(by: { $0.key < $1.key }) {
            text += "# HELP \(name) \(family.help)\n# TYPE \(name) counter\n"
            if family.labels.isEmpty, family.values.isEmpty { text += "\(name) 0\n" }
            for (labels, value) in family.values.sorted(by: { $0.key.lexicographicallyPrecedes($1.key) }) {
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
