import AuthCore
import Synchronization
import TestSupport
import Testing
import TokenVerification

@testable import GatehouseClient

@Suite("What is made of the event stream")
struct FeedReaderTests {
    private let replica = RevocationReplica()
    private let told = Told()

    private final class Told: Sendable {
        let issuers = Mutex<[String]>([])
        let routes = Mutex(0)
    }

    private func at(_ milliseconds: UInt64) -> Uptime { Uptime(nanoseconds: milliseconds * 1_000_000) }

    private func reader(sentAt: UInt64 = 100_000, entriesMax: Int = 100) -> FeedReader {
        let hooks = FeedReader.Hooks(
            keys: { [told] _, issuer in
                told.issuers.withLock { $0.append(issuer) }
                return issuer == "https://id.test"
            },
            routes: { [told] _ in
                told.routes.withLock { $0 += 1 }
                return true
            })
        return FeedReader(replica, requestedAt: at(sentAt), hooks: hooks, entriesMax: entriesMax)
    }

    @discardableResult
    private func send(
        _ reader: inout FeedReader, _ name: String, _ data: String, id: String = "", at time: UInt64 = 200_000
    ) throws -> Bool {
        try reader.receive(ServerSentEvent(name: name, data: Array(data.utf8), lastEventID: id), at: at(time))
    }

    private let entry = #"{"kind":"session","id":"s1","until":4000000000}"#

    @Test("a snapshot and entries are in force at once; only a heartbeat makes the replica young")
    func following() throws {
        var reader = reader()
        try send(&reader, "snapshot", #"{"entries":[\#(entry)],"complete":false}"#)
        #expect(replica.current.count == 1 && replica.position == nil)
        try send(&reader, "snapshot", #"{"entries":[],"complete":true}"#, id: "e-4")
        try send(&reader, "revoke", #"{"kind":"account","id":"a","ver":3,"until":4000000000}"#, id: "e-5")
        #expect(replica.current.count == 2 && replica.position == RevocationPosition("e-5"))
        #expect(replica.age(at: at(200_000)) == nil)
        #expect(try send(&reader, "heartbeat", #"{"age_ms":0,"elapsed_ms":99900}"#, id: "e-5"))
        #expect(replica.age(at: at(200_000)) == .milliseconds(100))
    }

    @Test(
        "the age counts from the source's last catch-up, and never from later than the truth",
        arguments: [
            // Told without delay; with the age of the source; long under way; by a clock that runs ahead.
            (0, 50_000, 150_000, 0), (20_000, 50_000, 150_000, 20_000), (300, 50_000, 157_000, 7_300), (0, 90_000, 150_000, 0),
        ] as [(Int, Int, UInt64, Int64)])
    func ages(_ age: Int, _ elapsed: Int, _ now: UInt64, _ wanted: Int64) throws {
        var reader = reader()
        try send(&reader, "snapshot", #"{"entries":[],"complete":true}"#, id: "e-4", at: now)
        try send(&reader, "heartbeat", #"{"age_ms":\#(age),"elapsed_ms":\#(elapsed)}"#, id: "e-4", at: now)
        #expect(replica.age(at: at(now)) == .milliseconds(wanted))
    }

    @Test("a heartbeat that was sent while this process did not run does not end the doubt")
    func frozen() throws {
        var reader = reader()
        try send(&reader, "snapshot", #"{"entries":[],"complete":true}"#, id: "e-4")
        replica.distrust(since: at(200_000))
        try send(&reader, "heartbeat", #"{"age_ms":0,"elapsed_ms":99000}"#, id: "e-4")
        #expect(replica.age(at: at(200_000)) == nil)
        try send(&reader, "heartbeat", #"{"age_ms":0,"elapsed_ms":100000}"#, id: "e-4", at: 200_010)
        #expect(replica.age(at: at(200_010)) == .milliseconds(10))
    }

    @Test("an entry of a kind that nobody knows here: nothing is confirmed before a snapshot without one")
    func unknownKind() throws {
        var reader = reader()
        try send(&reader, "snapshot", #"{"entries":[],"complete":true}"#, id: "e-4")
        try send(&reader, "revoke", #"{"kind":"galaxy","id":"g","until":4000000000}"#, id: "e-5")
        #expect(try !send(&reader, "heartbeat", #"{"age_ms":0,"elapsed_ms":100000}"#, id: "e-5"))
        #expect(replica.age(at: at(200_000)) == nil)
        try send(&reader, "reset", "{}")
        try send(&reader, "snapshot", #"{"entries":[],"complete":true}"#, id: "e-6")
        #expect(try send(&reader, "heartbeat", #"{"age_ms":0,"elapsed_ms":100000}"#, id: "e-6"))
    }

    @Test("after reset an older position is believed, and what was revoked stays so")
    func reset() throws {
        var reader = reader()
        try send(&reader, "snapshot", #"{"entries":[\#(entry)],"complete":true}"#, id: "e-4")
        #expect(throws: FeedReader.Fault.outOfOrder) { try send(&reader, "snapshot", #"{"entries":[],"complete":true}"#, id: "e-3") }
        try send(&reader, "reset", "{}")
        #expect(throws: FeedReader.Fault.outOfOrder) { try send(&reader, "heartbeat", #"{"age_ms":0,"elapsed_ms":1}"#, id: "e-4") }
        try send(&reader, "snapshot", #"{"entries":[],"complete":true}"#, id: "e-3")
        #expect(replica.position == RevocationPosition("e-3") && replica.current.count == 1)
    }

    @Test(
        "what is malformed ends the stream",
        arguments: [
            ("revoke", "{}", "e-1"), ("revoke", "[]", "e-1"), ("revoke", "{", "e-1"),
            ("snapshot", #"{"entries":[1],"complete":true}"#, "e-1"),
            ("snapshot", #"{"entries":[],"complete":true}"#, ""), ("snapshot", #"{"entries":[]}"#, "e-1"),
            ("heartbeat", #"{"age_ms":-1,"elapsed_ms":1}"#, "e-1"), ("heartbeat", #"{"age_ms":1}"#, "e-1"),
            ("heartbeat", #"{"age_ms":1,"elapsed_ms":9223372036854775807}"#, "e-1"), ("heartbeat", #"{"age_ms":1,"elapsed_ms":1}"#, "x"),
            ("revoke", #"{"kind":"session","id":"","until":1}"#, "e-1"),
            ("revoke", #"{"kind":"session","id":"s","ver":"1","until":1}"#, "e-1"),
        ])
    func malformed(_ name: String, _ data: String, _ id: String) {
        var reader = reader()
        #expect(throws: FeedReader.Fault.malformed(name)) { try send(&reader, name, data, id: id) }
        #expect(replica.position == nil)
    }

    @Test("keys and routes are handed on; what cannot be used ends the stream; other events are passed over")
    func documents() throws {
        var reader = reader()
        try send(&reader, "keys", #"{"issuer":"https://id.test","keys":[]}"#)
        try send(&reader, "routes", "{}")
        try send(&reader, "weather", "rain")
        #expect(told.issuers.withLock { $0 } == ["https://id.test"] && told.routes.withLock { $0 } == 1)
        for keys in [
            #"{"issuer":"https://other.test","keys":[]}"#, #"{"keys":[]}"#, "{}",
            #"{"issuer":"https://id.test","keys":[{"kty":"oct","kid":"k","k":"AAAA"}]}"#,
        ] {
            #expect(throws: FeedReader.Fault.unusableKeys) { try send(&reader, "keys", keys) }
        }
    }

    @Test("more than the replica holds is refused")
    func bounded() throws {
        var reader = reader(entriesMax: 1)
        try send(&reader, "snapshot", #"{"entries":[\#(entry)],"complete":false}"#)
        #expect(throws: FeedReader.Fault.tooMany) { try send(&reader, "snapshot", #"{"entries":[\#(entry)],"complete":true}"#, id: "e-1") }
    }

    @Test("no mutation of an event traps, and none that is refused confirms anything")
    func fuzz() {
        var random = SeededGenerator(seed: 5)
        let bases = [
            ("snapshot", #"{"entries":[\#(entry)],"complete":true}"#), ("revoke", entry),
            ("heartbeat", #"{"age_ms":12,"elapsed_ms":90000}"#),
            ("keys", #"{"issuer":"https://id.test","keys":[]}"#),
        ]
        let alphabet = Array("{}[]\",:0-9e.\\\u{0}".utf8) + [0xFF]
        for _ in 0..<20_000 {
            var reader = reader()
            let (name, data) = bases[Int.random(in: 0..<bases.count, using: &random)]
            var bytes = Array(data.utf8)
            for _ in 0..<Int.random(in: 1...4, using: &random) {
                bytes[Int.random(in: 0..<bytes.count, using: &random)] = alphabet[Int.random(in: 0..<alphabet.count, using: &random)]
            }
            // Either outcome will do.
            _ = try? reader.receive(ServerSentEvent(name: name, data: bytes, lastEventID: "e-9"), at: at(200_000))
            if let age = replica.age(at: at(200_000)) { #expect(age >= .zero) }
        }
    }
}
