internal import AuthCore
internal import TokenVerification

/// Writes server-sent events (HTML, "Server-sent events": the event stream format).
///
/// Data is JSON without line ends, so one `data` line holds it.
enum EventText {
    /// - Parameter id: What a reader sends back as `Last-Event-ID`; without one it keeps the last.
    static func event(_ name: StaticString, id: RevocationPosition? = nil, data: [UInt8]) -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(data.count + 96)
        bytes.append(contentsOf: "event: \(name)\n".utf8)
        if let id { bytes.append(contentsOf: "id: \(id)\n".utf8) }
        bytes.append(contentsOf: "data: ".utf8)
        bytes.append(contentsOf: data)
        bytes.append(contentsOf: "\n\n".utf8)
        return bytes
    }

    static func revoke(_ entry: RevocationEntry, id: RevocationPosition) -> [UInt8] {
        var json = JSONWriter()
        write(entry, to: &json)
        return event("revoke", id: id, data: json.bytes)
    }

    /// One part of a snapshot. Only the last has an id: a reader that is cut before it has no position yet.
    static func snapshot(_ entries: [RevocationEntry], completeAt position: RevocationPosition?) -> [UInt8] {
        var json = JSONWriter()
        json.object {
            $0.array("entries") { for entry in entries { write(entry, to: &$0) } }
            $0.member("complete", position != nil)
        }
        return event("snapshot", id: position, data: json.bytes)
    }

    static func heartbeat(_ position: RevocationPosition, age: Duration, elapsed: Duration) -> [UInt8] {
        var json = JSONWriter()
        json.object {
            $0.member("age_ms", age.wholeMilliseconds)
            $0.member("elapsed_ms", elapsed.wholeMilliseconds)
        }
        return event("heartbeat", id: position, data: json.bytes)
    }

    static let reset = event("reset", data: Array("{}".utf8))

    /// `{kind, id, ver?, until}`; `until` in whole seconds, rounded up so that nobody forgets too early.
    private static func write(_ entry: RevocationEntry, to json: inout JSONWriter) {
        json.object {
            $0.member("kind", entry.kind.rawValue)
            $0.member("id", entry.id.text)
            $0.member("ver", entry.epoch)
            $0.member("until", (entry.until + .milliseconds(999)).seconds)
        }
    }
}
