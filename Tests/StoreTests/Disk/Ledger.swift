import AuthCore
import Store
import StoreSQL
import StoreSQLite

/// What callers were told, to be held against what a store gives back after a fault.
struct Ledger: Sendable {
    struct Live: Sendable {
        let session: Identifier
        let grant: Grant
        /// The refresh token that was answered last.
        var counter: Int64 = 1
    }

    struct Person: Sendable {
        let id: Identifier
        var epoch: Int64 = 1
        var isDisabled = false
        var failures: Int64 = 0
        var live: [Live] = []
        /// What was ended by an answer, and must never come back.
        var endedSessions: Set<Identifier> = []
        var endedGrants: Set<Identifier> = []
        /// The step that was begun and not answered: it may have happened, whole or not at all.
        var unanswered: Step?
    }

    enum Step: Sendable {
        case create(String)
        case open
        case refresh(Int)
        case replay(Int)
        case end(Int)
        case endAll
        case disable
        case fail
        /// A long entry in the audit, so that the log grows until it is moved into the database.
        case audit
    }

    enum Answer: Sendable {
        case created(Identifier)
        case opened(Session, Grant)
        case refreshed(Int64)
        case done
        /// The store said no for a reason of its own: that is an answer too, and here always a wrong one.
        case refused(String)
        case failed(StoreError)
    }

    private(set) var people: [Person] = []
    private(set) var audited: Int64 = 0
    private(set) var unansweredAudits: Int64 = 0
    private(set) var told: Int64 = 0
    private(set) var answered = 0
    private var names = 0
    private var unansweredCreations: [String] = []

    /// Steps that do not depend on one another: at most one a person.
    mutating func chooseSteps(_ generator: inout SeededGenerator) -> [(person: Int?, step: Step)] {
        var steps: [(person: Int?, step: Step)] = []
        for index in people.indices.shuffled(using: &generator).prefix(Int.random(in: 1...6, using: &generator)) {
            if let step = chooseStep(for: people[index], &generator) { steps.append((index, step)) }
        }
        if people.count < 3 || Int.random(in: 0..<20, using: &generator) == 0 {
            names += 1
            steps.append((nil, .create("p\(names)")))
        }
        return steps
    }

    private func chooseStep(for person: Person, _ generator: inout SeededGenerator) -> Step? {
        if Int.random(in: 0..<8, using: &generator) == 0 { return .audit }
        guard !person.isDisabled else { return nil }
        guard let index = person.live.indices.randomElement(using: &generator) else { return .open }
        switch Int.random(in: 0..<40, using: &generator) {
        case 0: return .disable
        case 1: return .endAll
        case 2...5: return .end(index)
        case 6...7: return person.live[index].counter > 2 ? .replay(index) : .refresh(index)
        case 8...13: return .fail
        case 14...20: return .open
        default: return .refresh(index)
        }
    }

    /// Takes the answers of one round; what is wrong in an answer itself is returned.
    mutating func take(_ answers: [(person: Int?, step: Step, answer: Answer)], told batches: [FeedBatch]) -> [String] {
        var wrong: [String] = []
        for (index, step, answer) in answers {
            if case .refused(let why) = answer { wrong.append("\(step) was refused: \(why)") }
            guard case .failed = answer else {
                answered += 1
                if case .created(let id) = answer { people.append(Person(id: id)) }
                if let index { people[index].take(step, answer, audited: &audited) }
                continue
            }
            if case .audit = step { unansweredAudits += 1 } else if let index { people[index].unanswered = step }
            if case .create(let name) = step { unansweredCreations.append(name) }
        }
        told = max(told, batches.map(\.position.sequence).max() ?? 0)
        return wrong
    }

    /// What was not answered must have changed nothing: the store still runs, and said so. - Returns: How many that were.
    mutating func forgetUnanswered() -> Int {
        var count = unansweredCreations.count + Int(unansweredAudits)
        (unansweredCreations, unansweredAudits) = ([], 0)
        for index in people.indices where people[index].unanswered != nil {
            people[index].unanswered = nil
            count += 1
        }
        return count
    }

    /// What is wrong in the store, by what callers were told. What was not answered is settled: it is as the store says.
    mutating func settle(_ test: TestStore) async throws(StoreError) -> [String] {
        var wrong: [String] = []
        for name in unansweredCreations {
            guard let account = try await test.store.account(canonicalName: Identifier(name), canonicalEmail: nil) else { continue }
            people.append(Person(id: account.id))
        }
        unansweredCreations = []
        let revoked = Set(try await test.store.revocationSnapshot().records.map(\.id))
        for index in people.indices { wrong += try await people[index].settle(test, revoked: revoked) }
        return wrong + (try await totals(test))
    }

    /// Rows that are written together are there together.
    private mutating func totals(_ test: TestStore) async throws(StoreError) -> [String] {
        var wrong: [String] = []
        func same(_ name: String, _ left: Int64, _ right: Int64) { if left != right { wrong.append("\(name): \(left), not \(right)") } }
        func audit(_ kind: AuditEvent.Kind) async throws(StoreError) -> Int64 {
            try await test.rows("audit WHERE kind = '\(kind.rawValue)'")
        }
        same("accounts", try await test.rows("accounts"), Int64(people.count))
        same("accounts and their audit", try await audit(.accountCreated), Int64(people.count))
        same("grants and their audit", try await audit(.signIn), try await test.rows("grants"))
        same(
            "grants without a session",
            try await test.rows("grants WHERE revoked_ms IS NULL AND session_id NOT IN (SELECT id FROM sessions)"), 0)
        same("sessions without a grant", try await test.rows("sessions WHERE id NOT IN (SELECT session_id FROM grants)"), 0)
        let position = try await test.store.revocationSnapshot().position.sequence
        same("positions without a gap", try await test.rows("revocations"), position)
        same("positions up to the newest", try await test.rows("revocations WHERE sequence <= \(position)"), position)
        if position < told { wrong.append("position \(position) is behind \(told), which was told") }
        told = position
        let long = try await audit(.signInRefused)
        if !(audited...(audited + unansweredAudits)).contains(long) {
            wrong.append("audit: \(long) long entries, not \(audited) and up to \(unansweredAudits) more")
        }
        (audited, unansweredAudits) = (long, 0)
        let integrity = try await test.database.read { (connection: any SQLConnection) throws(StoreError) in
            try connection.query("PRAGMA integrity_check", [])[0].text(0)
        }
        if integrity != "ok" { wrong.append("integrity: \(integrity)") }
        return wrong
    }
}

extension Ledger.Person {
    mutating func take(_ step: Ledger.Step, _ answer: Ledger.Answer, audited: inout Int64) {
        switch (step, answer) {
        case (.open, .opened(let session, let grant)): live.append(Ledger.Live(session: session.id, grant: grant))
        case (.refresh(let index), .refreshed(let counter)): live[index].counter = counter
        case (.replay(let index), .done): endedGrants.insert(live.remove(at: index).grant.id)
        case (.end(let index), .done): end(live.remove(at: index))
        case (.endAll, .done): endEverything()
        case (.disable, .done):
            isDisabled = true
            endEverything()
        case (.fail, .done): failures += 1
        case (.audit, .done): audited += 1
        default: break
        }
    }

    private mutating func end(_ gone: Ledger.Live) {
        endedSessions.insert(gone.session)
        endedGrants.insert(gone.grant.id)
    }

    private mutating func endEverything() {
        for gone in live { end(gone) }
        live = []
        epoch += 1
    }

    /// Compares with the store, and takes over what became of the step that was not answered.
    mutating func settle(_ test: TestStore, revoked: Set<Identifier>) async throws(StoreError) -> [String] {
        guard let found = try await test.store.account(id: id) else { return ["account \(id) is lost"] }
        let step = unanswered
        unanswered = nil
        var wrong: [String] = []
        var grants: [Identifier: Grant] = [:]
        for id in live.map(\.grant.id) + endedGrants { grants[id] = try await test.store.grant(id) }
        let sessions = Set(try await test.store.sessions(of: id, at: test.now).map(\.id))

        // An unanswered step that left a trace must have happened whole: from here on it counts as answered.
        switch step {
        case .refresh(let index) where grants[live[index].grant.id]?.rotation.current == live[index].counter + 1: live[index].counter += 1
        case .replay(let index) where grants[live[index].grant.id]?.isRevoked == true: endedGrants.insert(live.remove(at: index).grant.id)
        case .end(let index) where !sessions.contains(live[index].session): end(live.remove(at: index))
        case .endAll where found.epoch == epoch + 1: endEverything()
        case .disable where found.isDisabled:
            isDisabled = true
            endEverything()
        default: break
        }
        if found.epoch != epoch { wrong.append("epoch of \(id): \(found.epoch), not \(epoch)") }
        if found.isDisabled != isDisabled { wrong.append("\(id) is disabled: \(found.isDisabled), not \(isDisabled)") }
        for live in live {
            if let grant = grants[live.grant.id], !grant.isRevoked, sessions.contains(live.session) {
                if grant.rotation.current != live.counter {
                    wrong.append("counter of \(grant.id): \(grant.rotation.current), not \(live.counter)")
                }
            } else {
                wrong.append("grant \(live.grant.id) with its session is lost")
            }
        }
        for ended in endedGrants where grants[ended]?.isRevoked != true { wrong.append("grant \(ended) came back, or is gone too early") }
        for ended in endedSessions where sessions.contains(ended) { wrong.append("session \(ended) came back") }
        for ended in endedGrants.union(endedSessions) where !revoked.contains(ended) { wrong.append("the log does not name \(ended)") }
        let failures = try await test.failures(of: id)
        var allowed = self.failures...self.failures
        if case .fail = step { allowed = self.failures...(self.failures + 1) }
        if !allowed.contains(failures) { wrong.append("failures of \(id): \(failures), not \(allowed)") }
        self.failures = failures
        return wrong
    }
}

extension TestStore {
    fileprivate func failures(of account: Identifier) async throws(StoreError) -> Int64 {
        try await database.read { (connection: any SQLConnection) throws(StoreError) in
            try connection.query("SELECT failures FROM throttles WHERE name = ?1", [.text(account.text)]).first?.int(0) ?? 0
        }
    }

    /// Runs steps side by side, so that some share a commit.
    func perform(_ steps: [(person: Int?, step: Ledger.Step)], for people: [Ledger.Person]) async
        -> [(person: Int?, step: Ledger.Step, answer: Ledger.Answer)]
    {
        await withTaskGroup(of: (Int?, Ledger.Step, Ledger.Answer).self) { group in
            for (index, step) in steps {
                group.addTask {
                    do { return (index, step, try await self.perform(step, index.map { people[$0] })) } catch let error as StoreError {
                        return (index, step, .failed(error))
                    } catch { return (index, step, .refused("\(error)")) }
                }
            }
            return await group.reduce(into: []) { $0.append($1) }
        }
    }

    private func perform(_ step: Ledger.Step, _ person: Ledger.Person?) async throws -> Ledger.Answer {
        if case .create(let name) = step { return .created(try await account(name).id) }
        guard let person else { return .refused("nobody") }
        switch step {
        case .create: return .refused("created above")
        case .open:
            guard let account = try await store.account(id: person.id) else { return .refused("no account") }
            let (session, grant) = try await openSession(account)
            return .opened(session, grant)
        case .refresh(let index):
            let outcome = try await refresh(person.live[index].grant, person.live[index].counter)
            guard case .refreshed(let refreshed) = outcome else { return .refused("\(outcome)") }
            return .refreshed(refreshed.successor)
        case .replay(let index):
            let outcome = try await refresh(person.live[index].grant, 1)
            guard case .replayed = outcome else { return .refused("\(outcome)") }
            return .done
        case .end(let index):
            return try await store.end(person.live[index].session, owner: person.id, at: now, event: event(.signOut))
                ? .done : .refused("no such session")
        case .endAll: try await store.endAll(of: person.id, at: now, event: event(.signOut))
        case .disable:
            return try await store.change(person.id, .disabled(by: .operatorsHand), event: event()) ? .done : .refused("no account")
        case .fail:
            let now = now
            try await store.throttle([person.id]) { records in
                records[0] = ThrottleRecord(failures: (records[0]?.failures ?? 0) + 1, windowStartedAt: now, blockedUntil: now)
            }
        case .audit:
            var event = event(.signInRefused)
            event.reason = String(repeating: "x", count: 200_000)
            try await store.append(event)
        }
        return .done
    }
}
