internal import AuthCore
internal import CLibPQ
internal import Store
internal import StoreSQL

#if canImport(Glibc)
internal import Glibc
#elseif canImport(Musl)
internal import Musl
#else
internal import Darwin
#endif

/// The ways to the server and back, each with its end.
extension PostgresConnection {
    /// Sends, waits, and reads the last result.
    func send<Output>(
        _ text: String, within timeMax: Duration = PostgresConnection.statementTimeMax, _ start: (UnsafePointer<CChar>) -> Int32,
        read: (OpaquePointer) throws(StoreError) -> Output
    ) throws(StoreError) -> Output {
        lastState = ""
        let sentAt = uptime()
        guard text.withCString(start) == 1 else { throw lost() }
        try flush(since: sentAt, within: timeMax)
        var last: Result<Output, StoreError>?
        while let result = try next(since: sentAt, within: timeMax) {
            defer { pq_clear(result) }
            if case .failure? = last { continue }
            switch Int(pq_resultStatus(result)) {
            case PGRES_COMMAND_OK, PGRES_TUPLES_OK, PGRES_EMPTY_QUERY:
                last = Result { () throws(StoreError) in try read(result) }
            default: last = .failure(failure(result))
            }
        }
        if pq_status(connection) != PostgresConnection.isOpen { throw lost() }
        guard let last else { throw lost() }
        heardAt = uptime()
        return try last.get()
    }

    /// Runs several statements in one way to the server and back (libpq's pipeline mode), and prepares with them those that are not yet.
    /// After one that failed the server runs none of the others.
    ///
    /// - Parameter read: Is given each statement's place and its result; what it makes of the last one is returned.
    func together<Output>(
        _ steps: [Step], within timeMax: Duration, read: (Int, OpaquePointer) throws(StoreError) -> Output?
    ) throws(StoreError) -> Output {
        if prepared.count + steps.count > PostgresConnection.preparedMax {
            try run("DEALLOCATE ALL")
            prepared = [:]
        }
        var bound: [PostgresArguments] = []
        for step in steps { bound.append(try PostgresArguments(step.arguments)) }
        lastState = ""
        let sentAt = uptime()
        guard pq_enterPipelineMode(connection) == 1 else { throw lost() }
        // What each command prepares, or nothing where it runs the next statement.
        var commands: [(sql: String, name: String)?] = []
        for (step, bound) in zip(steps, bound) {
            let name: String
            if let known = prepared[step.sql] {
                name = known
            } else {
                preparations += 1
                name = "s\(preparations)"
                guard pq_sendPrepare(connection, name, PostgresDialect.numbered(step.sql), 0, nil) == 1 else { throw lost() }
                commands.append((step.sql, name))
            }
            let isSent = try bound.withPointers { (values, lengths, formats) throws(StoreError) in
                pq_sendQueryPrepared(connection, name, Int32(step.arguments.count), values, lengths, formats, 1) == 1
            }
            guard isSent else { throw lost() }
            commands.append(nil)
        }
        guard pq_pipelineSync(connection) == 1 else { throw lost() }
        try flush(since: sentAt, within: timeMax)
        var (place, problem, output) = (0, StoreError?.none, Output?.none)
        for command in commands {
            // One result and then nothing for each.
            while let result = try next(since: sentAt, within: timeMax) {
                defer { pq_clear(result) }
                if problem != nil { continue }
                switch Int(pq_resultStatus(result)) {
                case PGRES_COMMAND_OK, PGRES_TUPLES_OK, PGRES_EMPTY_QUERY:
                    if let command {
                        prepared[command.sql] = command.name
                    } else {
                        do throws(StoreError) { output = try read(place, result) } catch { problem = error }
                    }
                default: problem = failure(result)
                }
            }
            if command == nil { place += 1 }
        }
        let end = try next(since: sentAt, within: timeMax)
        defer { if let end { pq_clear(end) } }
        guard let end, pq_resultStatus(end) == PGRES_PIPELINE_SYNC, pq_exitPipelineMode(connection) == 1 else { throw lost() }
        heardAt = uptime()
        if let problem { throw problem }
        guard let output else { throw lost() }
        return output
    }

    private func flush(since start: Uptime, within timeMax: Duration) throws(StoreError) {
        while true {
            let unsent = pq_flush(connection)
            if unsent == 0 { return }
            if unsent < 0 { throw lost() }
            try wait(since: start, within: timeMax, for: POLLIN | POLLOUT)
        }
    }

    /// - Returns: Nothing behind the last result of a command.
    private func next(since start: Uptime, within timeMax: Duration) throws(StoreError) -> OpaquePointer? {
        while pq_isBusy(connection) == 1 { try wait(since: start, within: timeMax, for: POLLIN) }
        return pq_getResult(connection)
    }

    private func wait(since start: Uptime, within timeMax: Duration, for events: Int32) throws(StoreError) {
        let left = timeMax - (uptime() - start)
        guard left > .zero else {
            (isBroken, isSilent) = (true, true)
            throw .unavailable("PostgreSQL does not answer")
        }
        var descriptor = pollfd(fd: pq_socket(connection), events: Int16(events), revents: 0)
        if descriptor.fd < 0 { throw lost() }
        _ = poll(&descriptor, 1, Int32(clamping: left.wholeMilliseconds + 1))
        // While sending too: a server that says much before it reads on would wait for us.
        if pq_consumeInput(connection) == 0 { throw lost() }
    }

    func lost() -> StoreError {
        isBroken = true
        return .unavailable("PostgreSQL: " + PostgresConnection.sentence(pq_errorMessage(connection)))
    }

    /// What a failed statement means, by the class of its SQLSTATE (PostgreSQL, appendix A).
    private func failure(_ result: OpaquePointer) -> StoreError {
        let state = pq_resultErrorField(result, Int32(UInt8(ascii: "C"))).map { String(cString: $0) } ?? ""
        let message = PostgresConnection.sentence(pq_resultErrorField(result, Int32(UInt8(ascii: "M"))))
        lastState = state
        if pq_status(connection) != PostgresConnection.isOpen { isBroken = true }
        switch state.prefix(2) {
        // The data, a constraint, the statement, a right or a schema that is missing: none of these is cured by waiting.
        case "22", "23", "42", "2B", "3F", "44": return .corrupt("PostgreSQL says: \(message) (\(state))")
        // Shut down, or become a standby: the next connection may find a server that writes.
        case "57" where state != "57014", "08", "25": isBroken = true
        default: break
        }
        return .unavailable("PostgreSQL says: \(message) (\(state))")
    }
}
