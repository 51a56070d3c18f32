package import AuthCore
package import TokenVerification

/// An event of `GET /events/revocations`, read and checked (docs/spec/events.md).
package enum FeedMessage: Sendable {
    /// A part of everything in force; the position comes with the last.
    case snapshot(FeedEntries, RevocationPosition?)
    case revoke(FeedEntries, RevocationPosition)
    /// Everything up to the position was sent before, and was complete `age` before the moment that lies `elapsed` behind the request.
    case heartbeat(RevocationPosition, age: Duration, elapsed: Duration)
    case reset
    case keys(JSONObject)
    case routes(JSONValue)
    /// An event of another name: to be passed over.
    case unknown

    /// A known event with data that it cannot have.
    package struct Malformed: Error, Equatable {
        package let event: String
    }

    /// The longest age or time that is believed: a year.
    private static let millisecondsMax: Int64 = 31_536_000_000
    private static let limits = JSONReader.Limits(bytesMax: 16_777_216, depthMax: 32, valuesMax: 1_000_000)

    package init(_ event: ServerSentEvent) throws(Malformed) {
        let malformed = Malformed(event: event.name)
        let names = ["snapshot", "revoke", "heartbeat", "reset", "keys", "routes"]
        guard let name = names.first(where: { $0.isSameBytes(as: event.name) }) else {
            self = .unknown
            return
        }
        let value: JSONValue
        do { value = try JSONReader.read(event.data, limits: FeedMessage.limits) } catch { throw malformed }
        guard let object = value.object else { throw malformed }
        let position = RevocationPosition(event.lastEventID)
        switch name {
        case "snapshot":
            guard let list = object["entries"]?.array, let isComplete = object["complete"]?.bool, !isComplete || position != nil,
                let entries = FeedEntries(list)
            else { throw malformed }
            self = .snapshot(entries, isComplete ? position : nil)
        case "revoke":
            guard let position, let entries = FeedEntries([value]) else { throw malformed }
            self = .revoke(entries, position)
        case "heartbeat":
            let range = 0...FeedMessage.millisecondsMax
            guard let position, let age = object["age_ms"]?.int, let elapsed = object["elapsed_ms"]?.int, range.contains(age),
                range.contains(elapsed)
            else { throw malformed }
            self = .heartbeat(position, age: .milliseconds(age), elapsed: .milliseconds(elapsed))
        case "reset": self = .reset
        case "keys": self = .keys(object)
        default: self = .routes(value)
        }
    }
}

/// Entries as they were told.
package struct FeedEntries: Sendable, Equatable {
    package var known: [RevocationEntry] = []
    /// Whether one was of a kind that this program does not know: then it cannot judge tokens by itself any more.
    package var hasUnknownKind = false

    private static let idBytesMax = 1_024

    /// - Returns: Nothing when one is no entry at all.
    init?(_ list: [JSONValue]) {
        for value in list {
            guard let object = value.object, let kind = object["kind"]?.string, let id = object["id"]?.string,
                (1...FeedEntries.idBytesMax).contains(id.utf8.count), let until = object["until"]?.int
            else { return nil }
            let ver = object["ver"]
            guard ver == nil || ver?.int != nil else { return nil }
            guard let known = RevocationKind.allCases.first(where: { $0.rawValue.isSameBytes(as: kind) }) else {
                hasUnknownKind = true
                continue
            }
            self.known.append(RevocationEntry(kind: known, id: Identifier(id), epoch: ver?.int, until: Instant(seconds: until)))
        }
    }
}
