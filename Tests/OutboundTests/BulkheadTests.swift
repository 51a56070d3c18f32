import AuthCore
import Synchronization
import TestSupport
import Testing

@testable import Outbound

/// What callers were told, in order.
private final class Outcomes: Sendable {
    private let list = Mutex<[OutgoingError?]>([])

    var all: [OutgoingError?] { list.withLock { $0 } }

    func add(_ error: OutgoingError?) { list.withLock { $0.append(error) } }
}

@Suite("FE-11, R-12: a slow server holds up nobody but itself", .timeLimit(.minutes(2)))
struct BulkheadTests {
    @Test("one host gets its share of threads and of the queue; another host is served meanwhile; what is too much is refused")
    func slowHost() async throws {
        let slow = try await HostileServer.start(certificate: nil) { _ in .silent }
        let quick = try await HostileServer.start(certificate: nil) { _ in .json("{}") }
        var options = try Fetcher.options(allow: ["localhost", "127.0.0.1"], trusting: nil)
        (options.threads, options.queue) = (4, 8)
        options.timeMax = .seconds(60)
        let outbound = try Fetcher.make(options)
        let slowRequest = try Fetcher.json("http://localhost:\(slow.port)/")
        let outcomes = Outcomes()
        await withTaskGroup(of: Void.self) { group in
            for _ in 0..<32 {
                group.addTask {
                    outcomes.add(await Fetcher.outcome(outbound, slowRequest).error)
                }
            }
            // One thread of four, and two of the eight that may wait.
            #expect(await until { outcomes.all.count == 29 })
            #expect(outcomes.all == Array(repeating: .overloaded, count: 29))
            #expect(await until { outbound.load == (2, 1) })
            for _ in 0..<20 {
                let quickRequest = try? Fetcher.json("http://127.0.0.1:\(quick.port)/")
                guard let quickRequest else { return }
                #expect(await Fetcher.outcome(outbound, quickRequest).answer?.status == 200)
            }
            #expect(outbound.load == (2, 1), "and the slow ones still wait")
            #expect(slow.seen.connections == 1)
            group.cancelAll()
        }
        #expect(outcomes.all.suffix(3) == [.cancelled, .cancelled, .cancelled])
        await outbound.close()
        await slow.stop()
        await quick.stop()
    }

    @Test("with every thread taken the next wait, and are refused when their time is over or the queue is full")
    func full() async throws {
        let slow = try await HostileServer.start(certificate: nil) { _ in .silent }
        var options = try Fetcher.options(allow: ["127.0.0.0/8"], trusting: nil)
        (options.threads, options.queue) = (1, 4)
        options.timeMax = .milliseconds(400)
        let outbound = try Fetcher.make(options)
        let outcomes = await withTaskGroup(of: OutgoingError?.self) { group in
            for number in 1...12 {
                group.addTask {
                    guard let request = try? Fetcher.json("http://127.0.0.\(number):\(slow.port)/") else { return nil }
                    return await Fetcher.outcome(outbound, request).error
                }
            }
            return await group.reduce(into: []) { $0.append($1) }
        }
        // Those that waited never reached the server, or found nobody at that address.
        #expect(outcomes.count { $0 == .overloaded } == 7)
        #expect(outcomes.count { $0 == .timedOut || $0 == .notConnected } == 5)
        await outbound.close()
        await slow.stop()
    }

    @Test("closing ends what runs and what waits, and returns when the threads are gone; what comes later is refused")
    func close() async throws {
        let slow = try await HostileServer.start(certificate: nil) { _ in .silent }
        var options = try Fetcher.options(trusting: nil)
        options.timeMax = .seconds(60)
        let outbound = try Fetcher.make(options)
        let request = try Fetcher.json("http://localhost:\(slow.port)/")
        let running = (0..<6).map { _ in Task { await Fetcher.outcome(outbound, request).error } }
        #expect(await until { outbound.load == (4, 2) && slow.seen.requests.count == 2 })
        await outbound.close()
        #expect(outbound.load == (0, 0))
        for task in running { #expect(await task.value == .stopped) }
        #expect(await Fetcher.outcome(outbound, request).error == .stopped)
        await outbound.close()
        #expect(await until { slow.seen.closed == 2 })
        await slow.stop()
        let unused = try Fetcher.make(options)
        await unused.close()
    }

    @Test("a caller that goes away ends its call, running or waiting")
    func cancelled() async throws {
        let slow = try await HostileServer.start(certificate: nil) { _ in .silent }
        var options = try Fetcher.options(trusting: nil)
        options.timeMax = .seconds(60)
        options.threads = 1
        let outbound = try Fetcher.make(options)
        let request = try Fetcher.json("http://localhost:\(slow.port)/")
        let first = Task { await Fetcher.outcome(outbound, request).error }
        #expect(await until { slow.seen.requests.count == 1 })
        let second = Task { await Fetcher.outcome(outbound, request).error }
        #expect(await until { outbound.load.waiting == 1 })
        second.cancel()
        #expect(await second.value == .cancelled)
        first.cancel()
        #expect(await first.value == .cancelled)
        #expect(await until { slow.seen.closed == 1 && outbound.load == (0, 0) })
        await outbound.close()
        await slow.stop()
    }

    @Test("64 callers of one document: one connection")
    func oneConnection() async throws {
        let server = try await HostileServer.start { _ in .json(#"{"keys":[]}"#) }
        let outbound = try Fetcher.make(try Fetcher.options())
        let documents = RemoteDocuments<Int>(calls: outbound, environment: .live) { (answer) throws(OutgoingError) in answer.body.count }
        let url = try OutgoingURL("https://localhost:\(server.port)/jwks")
        let values = await withTaskGroup(of: Int?.self) { group in
            for _ in 0..<64 {
                group.addTask { try? await documents.document(at: url).value }  // nothing fails the expectation below
            }
            return await group.reduce(into: []) { $0.append($1) }
        }
        #expect(values == Array(repeating: 11, count: 64))
        #expect(server.seen.connections == 1)
        await outbound.close()
        await server.stop()
    }
}
