import AuthCore
import Testing
import TokenVerification

@testable import WebServer

/// The shared log of the event stream, and the cursors of its readers, as values.
@Suite("The feed of the event stream")
struct EventFeedTests {
    private let replica = RevocationReplica()
    private func at(_ seconds: UInt64) -> Uptime { Uptime(nanoseconds: seconds * 1_000_000_000) }
    private func place(_ sequence: Int64, _ epoch: String = "e") -> RevocationPosition {
        RevocationPosition(epoch: epoch, sequence: sequence)
    }
    private func entry(_ number: Int64) -> RevocationEntry {
        RevocationEntry(kind: .token, id: Identifier("t\(number)"), until: Instant(seconds: 4_000_000_000))
    }

    private func feed(_ entriesMax: Int = 4) -> EventFeed {
        var limits = EventFeed.Limits()
        (limits.entriesMax, limits.readersMax, limits.readersPerClientMax) = (entriesMax, 3, 2)
        let feed = EventFeed(replica: replica, limits: limits)
        feed.restart(at: place(0))
        replica.replace([], through: place(0), sentAt: at(1))
        feed.confirm(sentAt: at(1))
        return feed
    }

    private func add(_ feed: EventFeed, _ numbers: ClosedRange<Int64>, after start: Int64? = nil) {
        let from = start ?? numbers.lowerBound - 1
        feed.append(numbers.map(entry), Array(numbers), after: place(from), through: place(numbers.upperBound))
        replica.apply(numbers.map(entry), through: place(numbers.upperBound), sentAt: at(1))
    }

    private func cursor(_ feed: EventFeed, _ last: String? = nil) -> EventCursor {
        EventCursor(feed, lastEventID: last, at: at(1), .init(isGateway: false), permission: { .init(isGateway: false) })
    }

    private func events(_ bytes: [UInt8]?) -> [SentEvent]? { bytes.map { SentEvent.read(String(decoding: $0, as: UTF8.self)) } }

    @Test("each entry once and in order, whatever is read twice")
    func once() {
        let feed = feed()
        var cursor = cursor(feed)
        _ = cursor.next(at(1))
        add(feed, 1...3)
        // Two readings of the log that overlap.
        add(feed, 1...3)
        add(feed, 2...4)
        let ids = events(cursor.next(at(1)))?.filter { $0.name == "revoke" }.map(\.id)
        #expect(ids == ["e-1", "e-2", "e-3", "e-4"])
    }

    @Test("a gap is never passed over: the reader is cut, or begins with a snapshot")
    func gap() {
        let feed = feed()
        var reader = cursor(feed)
        _ = reader.next(at(1))
        feed.append([entry(9)], [9], after: place(8), through: place(9))
        // Its place was 0, and what lies between is not held.
        #expect(reader.next(at(1)) == nil)
        var other = cursor(feed, "e-3")
        #expect(events(other.next(at(1)))?.map(\.name) == ["reset", "snapshot"])
    }

    @Test("a reader that falls behind what is held is cut off; what is held is bounded")
    func slow() {
        let feed = feed(4)
        var slow = cursor(feed)
        _ = slow.next(at(1))
        for number in Int64(1)...20 { add(feed, number...number) }
        #expect(slow.next(at(1)) == nil)
        var back = cursor(feed, "e-0")
        #expect(events(back.next(at(1)))?.map(\.name) == ["reset", "snapshot"])
        var recent = cursor(feed, "e-18")
        #expect(events(recent.next(at(1)))?.map(\.id) == ["e-19", "e-20", "e-20"])
    }

    @Test("a large snapshot comes in parts, and only the last has an id")
    func parts() {
        let feed = feed()
        let count = Int64(EventCursor.entriesMax * 2 + 5)
        replica.enforce((1...count).map(entry))
        var reader = cursor(feed)
        var ids: [String?] = []
        var names = Set<String>()
        for _ in 0..<3 {
            for event in events(reader.next(at(1))) ?? [] {
                ids.append(event.id)
                names.formUnion(event.entries)
            }
        }
        #expect(ids == [nil, nil, "e-0"])
        #expect(names.count == Int(count))
    }

    @Test("another epoch begins anew")
    func epoch() {
        let feed = feed()
        var reader = cursor(feed)
        _ = reader.next(at(1))
        feed.restart(at: place(3, "f"))
        replica.replace([entry(1)], through: place(3, "f"), sentAt: at(2))
        let told = events(reader.next(at(2)))
        #expect(told?.map(\.name) == ["reset", "snapshot"])
        #expect(told?.last?.id == "f-3")
    }

    @Test("no heartbeat stands for more than what was told before it")
    func order() {
        let feed = feed()
        var reader = cursor(feed)
        _ = reader.next(at(1))
        replica.confirm(sentAt: at(9))
        // The replica has confirmed what the feed has not heard of yet.
        #expect(events(reader.next(at(10)))?.first?.json["age_ms"]?.int == 9_000)
        feed.confirm(sentAt: at(9))
        #expect(events(reader.next(at(11)))?.first?.json["age_ms"]?.int == 2_000)
    }

    @Test("readers are bounded, together and by client")
    func bounded() {
        let feed = feed()
        let first = feed.join("a")
        var second = feed.join("a")
        #expect(first != nil && second != nil && feed.join("a") == nil)
        let other = feed.join("b")
        #expect(other != nil && feed.join("c") == nil)
        second = nil
        #expect(feed.join("c") != nil)
        withExtendedLifetime((first, second, other)) {}
    }
}
