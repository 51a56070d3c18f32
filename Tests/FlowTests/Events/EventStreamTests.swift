import AuthCore
import HTTPEdge
import OAuthServer
import Settings
import Store
import Testing
import TokenKeys
import TokenVerification

@testable import WebServer
@testable import gatehouse

@Suite("GET /events/revocations", .timeLimit(.minutes(2)))
struct EventStreamTests {
    private func start() async throws -> TestNode { try await TestNode.start(resources: EventReader.resources) }

    @Test("only a confidential client that proves itself and has the scope reads it")
    func admission() async throws {
        let test = try await start()
        for (credentials, status, error) in [
            (nil, 401, "invalid_client"), ("gw:wrong", 401, "invalid_client"),
            ("nobody:0123456789abcdef0123456789abcdef", 401, "invalid_client"),
            ("app:", 401, "invalid_client"), ("other:0123456789abcdef0123456789abcdef", 403, "insufficient_scope"),
        ] as [(String?, Int, String)] {
            guard case .complete(let answer)? = await EventReader.response(test, credentials) else {
                Issue.record("\(credentials ?? "") was let in")
                continue
            }
            #expect(answer.status == status)
            #expect((try? JSONReader.read(answer.body).object?["error"]?.string) == error)
        }
        #expect(await test.send("POST", "/events/revocations").status == 405)
        _ = try await EventReader.open(test)
        _ = try await EventReader.open(test, EventReader.service)
    }

    @Test("a reader begins with everything in force, then hears of each revocation under the next number, then a heartbeat")
    func begins() async throws {
        let test = try await start()
        let (first, second) = (await test.login(), await test.login())
        #expect(await test.logout(first.text("refresh_token")).status == 204)
        try await test.node.follow()
        var reader = try await EventReader.open(test, EventReader.service)
        let snapshot = try #require(await reader.next("snapshot"))
        let session = try first.claims()["sid"]?.string ?? ""
        #expect(snapshot.entries.contains(session))
        #expect(snapshot.json["complete"]?.bool == true)
        let start = try #require(snapshot.id.flatMap { RevocationPosition($0) })

        #expect(await test.logout(second.text("refresh_token")).status == 204)
        try await test.node.follow()
        let events = try #require(await reader.next())
        let revoked = events.filter { $0.name == "revoke" }
        #expect(revoked.map { $0.json["id"]?.string }.contains(try second.claims()["sid"]?.string))
        for (index, event) in revoked.enumerated() {
            #expect(event.id == "\(start.epoch)-\(start.sequence + Int64(index) + 1)")
            #expect(event.json["kind"]?.string.flatMap { RevocationKind(rawValue: $0) } != nil)
            #expect(event.json["until"]?.int ?? 0 > test.clock.now.seconds)
        }
        let heartbeat = try #require(events.last)
        #expect(heartbeat.name == "heartbeat" && heartbeat.id == revoked.last?.id)
        #expect(heartbeat.json["age_ms"]?.int == 0)
    }

    @Test("an account's entry carries the version that is still good")
    func versions() async throws {
        let test = try await start()
        let login = await test.login()
        var reader = try await EventReader.open(test)
        _ = await reader.next("snapshot")
        let body = Array("{\"roles\":[]}".utf8)
        #expect(await test.send("PATCH", "/admin/users/alice", body, to: .control).status == 200)
        try await test.node.follow()
        let event = try #require(await reader.next("revoke"))
        #expect(event.json["kind"]?.string == "account")
        #expect(event.json["id"]?.string == (try login.claims()["sub"]?.string))
        #expect(event.json["ver"]?.int ?? -1 > 0)
    }

    @Test("a reader that comes back gets what lies behind its last id, and nothing twice")
    func resumes() async throws {
        let test = try await start()
        var reader = try await EventReader.open(test)
        let last = try #require(await reader.next("snapshot")?.id)
        let login = await test.login()
        #expect(await test.logout(login.text("refresh_token")).status == 204)
        try await test.node.follow()
        var again = try await EventReader.open(test, EventReader.service, lastEventID: last)
        let events = try #require(await again.next())
        #expect(Set(events.map(\.name)) == ["revoke", "heartbeat"])
        var upToDate = try await EventReader.open(test, EventReader.service, lastEventID: events.last?.id)
        #expect(await upToDate.next()?.map(\.name) == ["heartbeat"])
    }

    @Test("a position that means nothing here begins with reset and a snapshot", arguments: ["", "x", "other-7", "%-1"])
    func unknownPositions(_ id: String) async throws {
        let test = try await start()
        var reader = try await EventReader.open(test, EventReader.service, lastEventID: id)
        #expect(await reader.next()?.map(\.name) == ["reset", "snapshot"])
    }

    @Test("a position that another node has told of is waited for, for two seconds")
    func ahead() async throws {
        let test = try await start()
        let position = try #require(test.node.verifier.revocations.position)
        let next = RevocationPosition(epoch: position.epoch, sequence: position.sequence + 1)
        var feedCursor = EventCursor(
            test.node.events, lastEventID: next.description, at: test.clock.uptime, .init(isGateway: false),
            permission: { .init(isGateway: false) })
        #expect(feedCursor.next(test.clock.uptime) == [])
        test.clock.advance(.seconds(2))
        let text = String(decoding: feedCursor.next(test.clock.uptime) ?? [], as: UTF8.self)
        #expect(SentEvent.read(text).map(\.name) == ["reset", "snapshot"])
    }

    @Test("keys and routes go to gateways alone, before anything else, and again when they change")
    func documents() async throws {
        let test = try await start()
        var gateway = try await EventReader.open(test)
        var service = try await EventReader.open(test, EventReader.service)
        let events = try #require(await gateway.next())
        #expect(events.map(\.name) == ["keys", "routes", "snapshot"])
        #expect(await service.next()?.map(\.name) == ["snapshot"])
        let keys = events[0].json
        #expect(keys["issuer"]?.string == test.node.settings.issuer.text)
        #expect(try KeySet(jwks: keys).keys.map(\.id) == test.node.keys.published.keySet.keys.map(\.id))
        #expect(!events[0].data.contains("\"d\""))
        #expect(events[1].json["routes"]?.array?.count == 3)

        #expect(await test.apply(EventReader.resources.replacing("/public", with: "/elsewhere")).status == 200)
        let routes = try #require(await gateway.next("routes"))
        #expect(routes.data.contains("/elsewhere"))
        // A revoked key: the set without it comes before the entry that revokes it.
        let id = try #require(test.node.keys.current?.id)
        #expect(await test.send("POST", "/admin/keys/\(id)/revoke", Array("{}".utf8), to: .control).status == 200)
        try await test.node.follow()
        let changed = try #require(await gateway.next())
        #expect(changed.map(\.name).prefix(2) == ["keys", "revoke"], "\(changed)")
        #expect(!changed[0].data.contains(id.text))
        // The other reader heard of the entries, and of no document.
        let heard = try #require(await service.next())
        #expect(heard.allSatisfy { ["revoke", "heartbeat"].contains($0.name) })
    }

    @Test("a heartbeat says how old this node's own knowledge is, and a node that was frozen says nothing before it has caught up")
    func ages() async throws {
        let test = try await start()
        var reader = try await EventReader.open(test, EventReader.service)
        _ = await reader.next("snapshot")
        test.node.events.tick()
        #expect(await reader.next("heartbeat")?.json["elapsed_ms"]?.int == 0)
        test.clock.advance(.seconds(5))
        test.node.events.tick()
        let late = try #require(await reader.next("heartbeat"))
        #expect(late.json["age_ms"]?.int == 5_000)
        #expect(late.json["elapsed_ms"]?.int == 5_000)

        test.clock.advance(.seconds(1))
        test.node.verifier.revocations.distrust(since: test.clock.uptime)
        #expect(test.node.events.confirmed(at: test.clock.uptime) == nil)
        try await test.node.follow()
        #expect(await reader.next("heartbeat")?.json["age_ms"]?.int == 0)
        // Nor does one whose loop has not run for a while, before anybody noticed.
        test.node.verifier.revocations.beat(at: test.clock.uptime)
        test.clock.advance(.seconds(2))
        #expect(test.node.events.confirmed(at: test.clock.uptime) == nil)
    }

    @Test("the stream of a client that loses its right ends within two seconds", arguments: ["disabled", "secret", "scope", "deleted"])
    func ends(_ how: String) async throws {
        let test = try await start()
        var reader = try await EventReader.open(test)
        _ = await reader.next("snapshot")
        switch how {
        case "disabled":
            #expect(await test.send("PATCH", "/admin/clients/gw", Array(#"{"disabled":true}"#.utf8), to: .control).status == 204)
        case "secret":
            // The newest stays good beside the new one, until the next.
            for _ in 0..<2 { #expect(await test.send("POST", "/admin/clients/gw/secrets", Array("{}".utf8), to: .control).status == 201) }
        case "scope":
            let without = EventReader.resources.replacing(#"["gatehouse:revocations", "gatehouse:gateway"]"#, with: "[]")
            #expect(await test.apply(without).status == 200)
        default:
            let without = EventReader.resources.split(separator: "\n").filter { !$0.contains("id: gw") }.joined(separator: "\n")
            #expect(await test.apply(without, prune: true).status == 200)
        }
        test.clock.advance(.seconds(1))
        try await test.node.follow()
        while let events = await reader.next() { #expect(events.allSatisfy { $0.name != "heartbeat" }) }
        #expect(test.node.events.readerCount == 1)
    }

    @Test("a stream ends after its lifetime, and its place is free when it is let go of")
    func lifetime() async throws {
        let test = try await start()
        do {
            var reader = try await EventReader.open(test)
            _ = await reader.next("snapshot")
            test.clock.advance(EventCursor.lifetime)
            test.node.events.tick()
            #expect(await reader.next() == nil)
            #expect(test.node.events.readerCount == 1)
        }
        #expect(test.node.events.readerCount == 0)
    }

    @Test("what another node revokes is told as well", .timeLimit(.minutes(2)))
    func otherNodes() async throws {
        let nodes = try await TestNode.cluster(2)
        #expect(await nodes[0].apply(EventReader.resources).status == 200)
        for node in nodes { try await node.node.follow() }
        var reader = try await EventReader.open(nodes[1], EventReader.service)
        _ = await reader.next("snapshot")
        let login = await nodes[0].login()
        #expect(await nodes[0].logout(login.text("refresh_token")).status == 204)
        try await nodes[1].node.follow()
        #expect(await reader.next("revoke") != nil)
    }
}
