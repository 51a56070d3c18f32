import AuthCore
import Synchronization
import Testing

/// Another server, as far as a test needs one: what it says is chosen call by call.
private final class FakeCalls: OutgoingCalls {
    typealias Answer = @Sendable (OutgoingRequest) async -> Result<OutgoingAnswer, OutgoingError>

    let requests = Mutex<[OutgoingRequest]>([])
    let answer = Mutex<Answer>({ _ in .failure(.notConnected) })

    var count: Int { requests.withLock { $0.count } }

    func fetch(_ request: OutgoingRequest) async throws(OutgoingError) -> OutgoingAnswer {
        requests.withLock { $0.append(request) }
        let answer = answer.withLock { $0 }
        return try await answer(request).get()
    }

    func say(_ body: String, status: Int = 200, _ fields: [(String, String)] = []) {
        answer.withLock {
            $0 = { .success(OutgoingAnswer(status: status, headers: Headers(fields), body: Array(body.utf8), url: $0.url)) }
        }
    }

    func fail(_ error: OutgoingError) { answer.withLock { $0 = { _ in .failure(error) } } }
}

private final class Clock: Sendable {
    let seconds = Atomic<UInt64>(1_000)

    func advance(_ count: UInt64) { seconds.wrappingAdd(count, ordering: .sequentiallyConsistent) }

    var environment: Environment {
        Environment(
            now: { Instant(milliseconds: 0) },
            uptime: { [self] in Uptime(nanoseconds: seconds.load(ordering: .sequentiallyConsistent) * 1_000_000_000) },
            randomBytes: { [UInt8](repeating: 0, count: $0) })
    }
}

/// A door that tasks wait at until it is opened.
private final class Door: Sendable {
    private let stream: AsyncStream<Void>
    private let source: AsyncStream<Void>.Continuation

    init() { (stream, source) = AsyncStream.makeStream() }

    func open() { source.finish() }

    func pass() async { for await _ in stream {} }
}

@Suite("FE-12, JK-07: documents of other servers are kept, shared and bounded")
struct RemoteDocumentsTests {
    private let clock = Clock()
    private let calls = FakeCalls()
    private let url: OutgoingURL

    init() throws { url = try OutgoingURL("https://a.test/jwks") }

    private func documents(_ change: (inout RemoteDocuments<String>.Limits) -> Void = { _ in }) -> RemoteDocuments<String> {
        var limits = RemoteDocuments<String>.Limits()
        change(&limits)
        return RemoteDocuments(calls: calls, limits: limits, environment: clock.environment) { (answer) throws(OutgoingError) in
            let text = String(decoding: answer.body, as: UTF8.self)
            if text.hasPrefix("bad") { throw .contentRefused }
            return text
        }
    }

    @Test("CIMD §8.6: what an operator's URL brought is not given to a stranger who names the same one, nor the other way round")
    func strangers() async throws {
        let documents = documents()
        calls.answer.withLock {
            $0 = { request in
                if request.isStrangers { return .failure(.addressPrivate) }
                return .success(OutgoingAnswer(status: 200, headers: Headers([]), body: Array("inside".utf8), url: request.url))
            }
        }
        #expect(try await documents.document(at: url).value == "inside")
        await #expect(throws: OutgoingError.addressPrivate) { try await documents.document(at: url, isStrangers: true) }
        // Nor is the operator's kept away by the stranger's failure.
        let again = try await documents.document(at: url)
        #expect(again.value == "inside" && !again.isStale && calls.count == 2)
    }

    @Test("a document that is known to be faulty takes the place of the good one, for as long as a failure is remembered")
    func faulty() async throws {
        let documents = RemoteDocuments<String>(
            calls: calls, environment: clock.environment, isGood: { !$0.hasPrefix("faulty") }
        ) { String(decoding: $0.body, as: UTF8.self) }
        calls.say("good", [("cache-control", "max-age=3600"), ("etag", "a")])
        #expect(try await documents.document(at: url).value == "good")
        calls.say("faulty", [("cache-control", "max-age=3600"), ("etag", "b")])
        clock.advance(3_600)
        #expect(try await documents.document(at: url).value == "faulty")
        clock.advance(29)
        #expect(try await documents.document(at: url).value == "faulty" && calls.count == 2)
        clock.advance(1)
        calls.fail(.timedOut)
        await #expect(throws: OutgoingError.timedOut) { try await documents.document(at: url) }
        let conditional = calls.requests.withLock { $0.last?.headers.isEmpty }
        #expect(conditional == true, "a 304 would make the faulty one young again")
    }

    private func outcome(
        _ documents: RemoteDocuments<String>, _ url: OutgoingURL? = nil, unlike version: UInt64? = nil
    ) async -> Result<RemoteDocuments<String>.Document, OutgoingError> {
        do throws(OutgoingError) { return .success(try await documents.document(at: url ?? self.url, unlike: version)) } catch {
            return .failure(error)
        }
    }

    private func value(_ outcome: Result<RemoteDocuments<String>.Document, OutgoingError>) -> String? {
        if case .success(let document) = outcome { document.value } else { nil }
    }

    private func error(_ outcome: Result<RemoteDocuments<String>.Document, OutgoingError>) -> OutgoingError? {
        if case .failure(let error) = outcome { error } else { nil }
    }

    @Test("max-age holds between the floor and the ceiling")
    func ages() async {
        let rows: [([(String, String)], UInt64)] = [
            ([], 300), ([("Cache-Control", "max-age=600")], 600), ([("Cache-Control", "max-age=1")], 60),
            ([("Cache-Control", "no-store")], 60),
            ([("Cache-Control", "public, Max-Age=900, must-revalidate")], 900),
            ([("Cache-Control", "max-age=99999999999999999999")], 3_600),
            ([("Cache-Control", "max-age=600"), ("Age", "400")], 200), ([("Cache-Control", "max-age=600"), ("Age", "9999")], 60),
            ([("Cache-Control", "max-age=600"), ("Cache-Control", "max-age=120")], 120), ([("Cache-Control", "max-age=-1")], 60),
            ([("Cache-Control", "max-age=x")], 60), ([("Cache-Control", "xmax-age=5")], 300),
            ([("Cache-Control", "max-age=600, no-cache")], 60),
        ]
        for (fields, seconds) in rows {
            let documents = documents()
            calls.say("one", fields)
            #expect(value(await outcome(documents)) == "one")
            let before = calls.count
            clock.advance(seconds - 1)
            #expect(value(await outcome(documents)) == "one")
            #expect(calls.count == before, "\(fields): fetched again before \(seconds) s")
            clock.advance(1)
            calls.say("two", fields)
            #expect(value(await outcome(documents)) == "two")
            #expect(calls.count == before + 1, "\(fields): not fetched again after \(seconds) s")
        }
    }

    @Test("one flight: 64 callers, one fetch, one answer", .timeLimit(.minutes(1)))
    func oneFlight() async {
        let (documents, door) = (documents(), Door())
        calls.answer.withLock {
            $0 = { request in
                await door.pass()
                return .success(OutgoingAnswer(status: 200, headers: .empty, body: Array("one".utf8), url: request.url))
            }
        }
        let values = await withTaskGroup(of: String?.self) { group in
            for _ in 0..<64 { group.addTask { value(await outcome(documents)) } }
            while calls.count == 0 { await Task.yield() }
            for _ in 0..<200 { await Task.yield() }
            door.open()
            return await group.reduce(into: []) { $0.append($1) }
        }
        #expect(values == Array(repeating: "one", count: 64))
        #expect(calls.count == 1)
    }

    @Test("whoever fetches for all goes away: another one fetches, and nobody else is cancelled", .timeLimit(.minutes(1)))
    func leaderCancelled() async {
        let documents = documents()
        let led = Door()
        calls.answer.withLock {
            $0 = { [calls] request in
                if calls.count == 1 {
                    led.open()
                    while !Task.isCancelled { await Task.yield() }
                    return .failure(.cancelled)
                }
                return .success(OutgoingAnswer(status: 200, headers: .empty, body: Array("one".utf8), url: request.url))
            }
        }
        await withTaskGroup(of: (Int, OutgoingError?).self) { group in
            let leader = Task { error(await outcome(documents)) }
            await led.pass()
            for number in 0..<8 { group.addTask { (number, error(await outcome(documents))) } }
            for _ in 0..<200 { await Task.yield() }
            leader.cancel()
            #expect(await leader.value == .cancelled)
            for await (number, error) in group { #expect(error == nil, "\(number)") }
        }
        #expect(calls.count == 2)
    }

    @Test("a follower that goes away ends alone", .timeLimit(.minutes(1)))
    func followerCancelled() async {
        let (documents, door) = (documents(), Door())
        calls.answer.withLock {
            $0 = { request in
                await door.pass()
                return .success(OutgoingAnswer(status: 200, headers: .empty, body: Array("one".utf8), url: request.url))
            }
        }
        let leader = Task { value(await outcome(documents)) }
        while calls.count == 0 { await Task.yield() }
        let follower = Task { error(await outcome(documents)) }
        for _ in 0..<100 { await Task.yield() }
        follower.cancel()
        #expect(await follower.value == .cancelled)
        door.open()
        #expect(await leader.value == "one")
        #expect(calls.count == 1)
    }

    @Test("a failure is remembered for a while, and only a while")
    func negative() async {
        let documents = documents()
        calls.fail(.timedOut)
        for _ in 0..<10 { #expect(error(await outcome(documents)) == .timedOut) }
        #expect(calls.count == 1)
        clock.advance(29)
        #expect(error(await outcome(documents)) == .timedOut)
        #expect(calls.count == 1)
        clock.advance(1)
        calls.say("one")
        #expect(value(await outcome(documents)) == "one")
        #expect(calls.count == 2)
    }

    @Test("that we are full or one caller went away is not remembered of the server")
    func notOfServer() async {
        for error in [OutgoingError.overloaded, .stopped, .cancelled] {
            let documents = documents()
            calls.fail(error)
            #expect(self.error(await outcome(documents)) == error)
            calls.say("one")
            #expect(value(await outcome(documents)) == "one")
        }
    }

    @Test("the old document is given while no newer one can be had, up to a bound", arguments: [0, 1, 2])
    func stale(kind: Int) async throws {
        let documents = documents { $0.staleMax = .seconds(1_000) }
        calls.say("one")
        let first = try await outcome(documents).get()
        #expect(!first.isStale)
        switch kind {
        case 0: calls.fail(.notConnected)
        case 1: calls.say("gone", status: 500)
        default: calls.say("bad")
        }
        clock.advance(300)
        let before = calls.count
        for _ in 0..<5 {
            let second = try await outcome(documents).get()
            #expect(second.value == "one" && second.isStale && second.version == first.version)
        }
        #expect(calls.count == before + 1, "one try in the pause")
        clock.advance(999)
        #expect(value(await outcome(documents)) == "one")
        #expect(calls.count == before + 2)
        clock.advance(30)
        let expected: OutgoingError = kind == 0 ? .notConnected : kind == 1 ? .wrongStatus : .contentRefused
        #expect(error(await outcome(documents)) == expected)
        clock.advance(30)
        calls.say("two")
        let third = try await outcome(documents).get()
        #expect(third.value == "two" && !third.isStale && third.version != first.version)
    }

    @Test("while one caller fetches it again, the others get the old one", .timeLimit(.minutes(1)))
    func whileRefreshing() async {
        let (documents, door) = (documents(), Door())
        calls.say("one")
        #expect(value(await outcome(documents)) == "one")
        clock.advance(300)
        calls.answer.withLock {
            $0 = { request in
                await door.pass()
                return .success(OutgoingAnswer(status: 200, headers: .empty, body: Array("two".utf8), url: request.url))
            }
        }
        let leader = Task { value(await outcome(documents)) }
        while calls.count < 2 { await Task.yield() }
        #expect(value(await outcome(documents)) == "one")
        door.open()
        #expect(await leader.value == "two")
        #expect(value(await outcome(documents)) == "two")
    }

    @Test("CA-06: a key that is not in it causes one fetch, and no further one before the pause is over")
    func unlike() async throws {
        let documents = documents()
        calls.say("one", [("Cache-Control", "max-age=3600")])
        let first = try await outcome(documents).get()
        calls.say("two", [("Cache-Control", "max-age=3600")])
        #expect(value(await outcome(documents, unlike: first.version)) == "one", "just fetched")
        #expect(calls.count == 1)
        clock.advance(30)
        let second = try await outcome(documents, unlike: first.version).get()
        #expect(second.value == "two")
        #expect(calls.count == 2)
        for _ in 0..<10 { #expect(value(await outcome(documents, unlike: second.version)) == "two") }
        #expect(value(await outcome(documents, unlike: first.version)) == "two", "there is another one already")
        #expect(calls.count == 2)
        clock.advance(30)
        calls.fail(.timedOut)
        for _ in 0..<10 { #expect(value(await outcome(documents, unlike: second.version)) == "two") }
        #expect(calls.count == 3)
    }

    @Test("a document with an ETag is asked for by it, and 304 makes it young again")
    func conditional() async throws {
        let documents = documents()
        calls.say("one", [("ETag", "\"v1\"")])
        let first = try await outcome(documents).get()
        clock.advance(300)
        calls.say("", status: 304, [("Cache-Control", "max-age=600")])
        let second = try await outcome(documents).get()
        #expect(second.value == "one" && second.version == first.version && !second.isStale)
        let sent = calls.requests.withLock { $0.last?.headers ?? [] }
        #expect(sent.count == 1 && sent.first?.name == "If-None-Match" && sent.first?.value == "\"v1\"")
        clock.advance(599)
        _ = await outcome(documents)
        #expect(calls.count == 2)
        let other = try OutgoingURL("https://b.test/")
        #expect(error(await outcome(documents, other)) == .wrongStatus, "304 to what was not asked conditionally")
    }

    @Test("entries, bytes, failures and flights have a bound; what was not used for longest goes")
    func bounds() async throws {
        let documents = documents {
            $0.entriesMax = 8
            $0.bytesMax = 1_000
        }
        calls.say(String(repeating: "x", count: 100))
        let kept = try OutgoingURL("https://kept.test/")
        for number in 0..<200 {
            _ = await outcome(documents, kept)
            _ = await outcome(documents, try OutgoingURL("https://h\(number).test/"))
            #expect(documents.held.entries <= 8 && documents.held.bytes <= 1_000)
        }
        #expect(calls.count == 201, "the one in use stayed")
        calls.say(String(repeating: "x", count: 400))
        for number in 200..<210 {
            _ = await outcome(documents, try OutgoingURL("https://h\(number).test/"))
            #expect(documents.held.bytes <= 1_000)
        }
        calls.say(String(repeating: "x", count: 1_001))
        #expect(value(await outcome(documents, try OutgoingURL("https://large.test/"))) != nil)
        #expect(documents.held.bytes <= 1_000, "what is larger than all is given and not kept")
        calls.fail(.notConnected)
        for number in 300..<400 { _ = await outcome(documents, try OutgoingURL("https://h\(number).test/")) }
        let before = calls.count
        _ = await outcome(documents, try OutgoingURL("https://h399.test/"))
        #expect(calls.count == before)
        _ = await outcome(documents, try OutgoingURL("https://h300.test/"))
        #expect(calls.count == before + 1, "the oldest failure was forgotten")
    }

    @Test("past the bound of flights and of waiters callers are refused", .timeLimit(.minutes(1)))
    func crowds() async throws {
        let door = Door()
        let documents = documents {
            $0.flightsMax = 2
            $0.waitersMax = 3
        }
        calls.answer.withLock {
            $0 = { request in
                await door.pass()
                return .success(OutgoingAnswer(status: 200, headers: .empty, body: [], url: request.url))
            }
        }
        let other = try OutgoingURL("https://b.test/")
        let leaders = [Task { error(await outcome(documents)) }, Task { error(await outcome(documents, other)) }]
        while calls.count < 2 { await Task.yield() }
        #expect(error(await outcome(documents, try OutgoingURL("https://c.test/"))) == .overloaded)
        let followers = await withTaskGroup(of: OutgoingError?.self) { group in
            for _ in 0..<10 { group.addTask { error(await outcome(documents)) } }
            var refused: [OutgoingError?] = []
            for _ in 0..<7 { refused.append(await group.next() ?? nil) }
            door.open()
            for await error in group { #expect(error == nil) }
            return refused
        }
        #expect(followers == Array(repeating: .overloaded, count: 7))
        for leader in leaders { #expect(await leader.value == nil) }
        #expect(calls.count == 2)
    }
}
