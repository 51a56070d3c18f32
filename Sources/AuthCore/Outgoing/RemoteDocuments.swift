private import Synchronization

/// Documents of other servers (key sets, metadata), read once and kept for a while, each under its URL.
///
/// - What a stranger names and what an operator names are kept apart, even under one URL: what the operator's own network said is never given
///   to whoever could not have had it fetched from there.
/// - One flight: however many want a document, one call fetches it, and they all get what it brings.
/// - It is kept as long as its `Cache-Control: max-age` says (RFC 9111 §5.2.2.1), within a floor and a ceiling.
/// - When it cannot be fetched again, the old one is given for `staleMax` more (RFC 5861 §4), and nobody tries again for `pause`.
/// - When there is no old one, the failure is what everybody gets for `pause`.
/// - Entries and their bytes are bounded; those that were not used for longest go first.
///
/// `Value` is what `read` makes of an answer, so that a document is parsed once and what cannot be parsed never replaces what could. A value
/// may also say what is wrong with the document (`isGood`): it takes the place of the one before, is given for `pause`, and not beyond.
public final class RemoteDocuments<Value: Sendable>: Sendable {
    public struct Limits: Sendable {
        public var entriesMax = 256
        /// Of the bodies, together.
        public var bytesMax = 8_388_608
        /// Of one body.
        public var documentBytesMax = 262_144
        public var ageMin = Duration.seconds(60)
        public var ageMax = Duration.seconds(3_600)
        /// What is taken for the age of a document that does not say one.
        public var ageUsual = Duration.seconds(300)
        /// For how long a document is given beyond its age when no newer one can be had.
        public var staleMax = Duration.seconds(86_400)
        /// After a failure, and between two fetches that somebody wanted although the document was fresh.
        public var pause = Duration.seconds(30)
        /// Calls that fetch at a time, and those that wait for one of them.
        public var flightsMax = 64
        public var waitersMax = 1_024
        public var acceptedTypes = ["application/json"]
        public var redirectsMax = 0

        public init() {}
    }

    /// A document as it is held.
    public struct Document: Sendable {
        public let value: Value
        /// Another number for each time that it was fetched and was not the same.
        public let version: UInt64
        /// It should have been fetched again, but could not be.
        public let isStale: Bool
    }

    private struct Key: Hashable {
        let url: OutgoingURL
        let isStrangers: Bool
    }

    struct Entry {
        var value: Value
        var version: UInt64
        var bytes: Int
        var etag: String?
        /// When it was last known to be what the server gives.
        var fetchedAt: Uptime
        var freshFor: Duration
        var staleFor: Duration
        var usedAt: UInt64 = 0
    }

    typealias Outcome = Result<Document, OutgoingError>

    private struct Waiter {
        let number: UInt64
        let resume: @Sendable (Outcome) -> Void
    }

    private struct State {
        var entries: [Key: Entry] = [:]
        var bytes = 0
        /// The last failure, and when; at most as many as entries.
        var failures: [Key: (error: OutgoingError, at: Uptime, number: UInt64)] = [:]
        var flights: [Key: [Waiter]] = [:]
        var waiters = 0
        var numbers: UInt64 = 0

        mutating func number() -> UInt64 {
            numbers &+= 1
            return numbers
        }
    }

    private enum Step {
        case give(Outcome)
        /// This caller fetches.
        case lead(etag: String?)
        case follow
    }

    private let calls: any OutgoingCalls
    private let limits: Limits
    private let uptime: @Sendable () -> Uptime
    private let isGood: @Sendable (Value) -> Bool
    private let read: @Sendable (OutgoingAnswer) throws(OutgoingError) -> Value
    private let state = Mutex(State())

    /// - Parameters:
    ///   - isGood: Whether a value is one of a good document, which may be kept.
    ///   - read: Makes the value of an answer with status 200; it throws `.contentRefused` for what it cannot use.
    public init(
        calls: any OutgoingCalls, limits: Limits = Limits(), environment: Environment,
        isGood: @escaping @Sendable (Value) -> Bool = { _ in true },
        read: @escaping @Sendable (OutgoingAnswer) throws(OutgoingError) -> Value
    ) {
        self.calls = calls
        self.limits = limits
        uptime = environment.uptime
        self.isGood = isGood
        self.read = read
    }

    /// The document, fetched if it is not held or too old.
    ///
    /// - Parameters:
    ///   - unlike: Somebody has looked into the document of this version and not found what must be there (a key): it is fetched again although
    ///     it is fresh, but not sooner than `pause` after the last fetch (CA-06, JK-07).
    ///   - isStrangers: As of `OutgoingRequest`.
    /// - Throws: Why there is none. `.cancelled` concerns this caller alone.
    public func document(
        at url: OutgoingURL, unlike version: UInt64? = nil, isStrangers: Bool = false
    ) async throws(OutgoingError) -> Document {
        let key = Key(url: url, isStrangers: isStrangers)
        // More than one round only when the one who fetched for all was cancelled; each round has another one.
        while true {
            let outcome: Outcome
            switch step(key, unlike: version) {
            case .give(let held): return try held.get()
            case .lead(let etag): outcome = await lead(key, etag: etag)
            case .follow:
                let followed = await follow(key)
                if case .failure(.cancelled) = followed, !Task.isCancelled { continue }
                outcome = followed
            }
            return try outcome.get()
        }
    }

    /// What is held, for figures.
    public var held: (entries: Int, bytes: Int) { state.withLock { ($0.entries.count, $0.bytes) } }

    private func step(_ key: Key, unlike version: UInt64?) -> Step {
        let now = uptime()
        return state.withLock { state in
            if let entry = state.entries[key] {
                let age = now - entry.fetchedAt
                let failedLately = state.failures[key].map { now - $0.at < limits.pause } ?? false
                let isWanted = version == entry.version && age >= limits.pause
                let isFresh = age < entry.freshFor && !isWanted
                // While somebody fetches it, the old one is good enough for those who know nothing against it.
                let isFetched = state.flights[key] != nil && !isWanted
                if isFresh || ((failedLately || isFetched) && isUsable(entry, now)) {
                    let number = state.number()
                    state.entries[key]?.usedAt = number
                    return .give(.success(Document(value: entry.value, version: entry.version, isStale: age >= entry.freshFor)))
                }
            }
            if let failure = state.failures[key], now - failure.at < limits.pause { return .give(.failure(failure.error)) }
            if state.flights[key] != nil { return state.waiters < limits.waitersMax ? .follow : .give(.failure(.overloaded)) }
            guard state.flights.count < limits.flightsMax else { return .give(.failure(.overloaded)) }
            state.flights[key] = []
            return .lead(etag: state.entries[key]?.etag)
        }
    }

    private func isUsable(_ entry: Entry, _ now: Uptime) -> Bool { now - entry.fetchedAt < entry.freshFor + entry.staleFor }

    /// Waits for the one who fetches.
    private func follow(_ key: Key) async -> Outcome {
        let number = state.withLock { $0.number() }
        return await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let waiter = Waiter(number: number) { continuation.resume(returning: $0) }
                let isWaiting = state.withLock { state in
                    guard !Task.isCancelled, state.flights[key] != nil else { return false }
                    state.flights[key]?.append(waiter)
                    state.waiters += 1
                    return true
                }
                // The flight has landed since, or this caller is gone: another round says which.
                if !isWaiting { waiter.resume(.failure(.cancelled)) }
            }
        } onCancel: {
            let waiter: Waiter? = state.withLock { state in
                guard let index = state.flights[key]?.firstIndex(where: { $0.number == number }) else { return nil }
                state.waiters -= 1
                return state.flights[key]?.remove(at: index)
            }
            waiter?.resume(.failure(.cancelled))
        }
    }

    /// Fetches for all who wait.
    private func lead(_ key: Key, etag: String?) async -> Outcome {
        let fetched = await fetch(key, etag: etag)
        let now = uptime()
        let (outcome, waiters): (Outcome, [Waiter]) = state.withLock { state in
            let outcome = land(fetched, key, now, &state)
            let waiters = state.flights.removeValue(forKey: key) ?? []
            state.waiters -= waiters.count
            return (outcome, waiters)
        }
        for waiter in waiters { waiter.resume(outcome) }
        return outcome
    }

    private enum Fetched {
        case new(Value, OutgoingAnswer)
        /// 304: what is held still holds.
        case same(OutgoingAnswer)
        case failed(OutgoingError)
    }

    private func fetch(_ key: Key, etag: String?) async -> Fetched {
        do throws(OutgoingError) {
            let headers = etag.map { [(name: "If-None-Match", value: $0)] } ?? []
            let most = OutgoingLimits(bodyBytesMax: limits.documentBytesMax, redirectsMax: limits.redirectsMax)
            var request = OutgoingRequest(.get, key.url, headers: headers, acceptedTypes: limits.acceptedTypes, limits: most)
            request.isStrangers = key.isStrangers
            let answer = try await calls.fetch(request)
            if answer.status == 304, etag != nil { return .same(answer) }
            guard answer.status == 200 else { return .failed(.wrongStatus) }
            return .new(try read(answer), answer)
        } catch { return .failed(error) }
    }

    private func land(_ fetched: Fetched, _ key: Key, _ now: Uptime, _ state: inout State) -> Outcome {
        let held = state.entries[key]
        var entry: Entry
        switch fetched {
        case .new(let value, let answer):
            entry = Entry(
                value: value, version: state.number(), bytes: answer.body.count, etag: etag(of: answer), fetchedAt: now,
                freshFor: age(of: answer), staleFor: limits.staleMax)
            // As long as a failure would be remembered, and nothing that a 304 could make young again.
            if !isGood(value) { (entry.etag, entry.freshFor, entry.staleFor) = (nil, limits.pause, .zero) }
        case .same(let answer):
            // It was pushed out meanwhile: there is nothing to say "the same" of.
            guard let held else { return fail(.wrongStatus, key, now, &state) }
            entry = held
            (entry.fetchedAt, entry.freshFor) = (now, age(of: answer))
        case .failed(let error):
            // That one caller went away says nothing of the server, nor that we are full.
            if error != .cancelled, error != .overloaded, error != .stopped { _ = fail(error, key, now, &state) }
            guard let held, error != .cancelled, isUsable(held, now) else { return .failure(error) }
            return .success(Document(value: held.value, version: held.version, isStale: now - held.fetchedAt >= held.freshFor))
        }
        state.failures[key] = nil
        entry.usedAt = state.number()
        state.bytes += entry.bytes - (held?.bytes ?? 0)
        state.entries[key] = entry
        while state.entries.count > limits.entriesMax || state.bytes > limits.bytesMax, dropOldest(&state) {}
        return .success(Document(value: entry.value, version: entry.version, isStale: false))
    }

    private func fail(_ error: OutgoingError, _ key: Key, _ now: Uptime, _ state: inout State) -> Outcome {
        if state.failures.count >= limits.entriesMax {
            state.failures = state.failures.filter { now - $0.value.at < limits.pause }
            // All of them are young: the oldest is forgotten, and tried again sooner.
            if state.failures.count >= limits.entriesMax, let oldest = state.failures.min(by: { $0.value.number < $1.value.number })?.key {
                state.failures[oldest] = nil
            }
        }
        let number = state.number()
        state.failures[key] = (error, now, number)
        return .failure(error)
    }

    private func dropOldest(_ state: inout State) -> Bool {
        guard let oldest = state.entries.min(by: { $0.value.usedAt < $1.value.usedAt }) else { return false }
        state.bytes -= oldest.value.bytes
        state.entries[oldest.key] = nil
        return true
    }

    private func etag(of answer: OutgoingAnswer) -> String? {
        answer.headers.text("etag").flatMap { $0.utf8.count <= 256 && !$0.isEmpty ? $0 : nil }
    }

    private func age(of answer: OutgoingAnswer) -> Duration {
        min(max(CacheLifetime.read(answer.headers) ?? limits.ageUsual, limits.ageMin), limits.ageMax)
    }
}

/// How long an answer says that it may be kept.
enum CacheLifetime {
    /// `max-age` of `Cache-Control`, less `Age`; zero for `no-store` and `no-cache`; nothing when it does not say. Of two values the smaller.
    static func read(_ headers: Headers) -> Duration? {
        var seconds: Int64?
        for value in headers.all("cache-control") {
            for part in value.split(separator: UInt8(ascii: ",")) {
                let text = part.filter { $0 != 0x20 && $0 != 0x09 }.map(lowercasedASCII)
                if text.elementsEqual("no-store".utf8) || text.elementsEqual("no-cache".utf8) { return .zero }
                guard text.starts(with: "max-age=".utf8) else { continue }
                let found = number(text.dropFirst(8)) ?? 0
                seconds = min(seconds ?? found, found)
            }
        }
        guard let seconds else { return nil }
        let age = headers.single("age").flatMap { number($0.filter { $0 != 0x20 && $0 != 0x09 }[...]) } ?? 0
        return .seconds(max(0, seconds - age))
    }

    /// Above a year is a year.
    private static func number(_ digits: ArraySlice<UInt8>) -> Int64? {
        guard !digits.isEmpty, digits.allSatisfy({ (0x30...0x39).contains($0) }) else { return nil }
        return digits.reduce(Int64(0)) { min($0 * 10 + Int64($1 - 0x30), 31_536_000) }
    }
}
