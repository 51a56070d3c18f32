import AuthCore
import OAuthServer
import Settings
import Store
import TokenKeys
import TokenVerification

/// What goes on beside the requests: the log of revocations is followed, keys are rotated, files are watched,
/// clients are told of ended sessions.
struct Upkeep: Sendable {
    let node: Node

    func run() async {
        await withTaskGroup(of: Void.self) { tasks in
            tasks.addTask { await node.wake.run(node.verifier.revocations, uptime: node.environment.uptime) }
            tasks.addTask { await followRevocations() }
            tasks.addTask { await rotateKeys() }
            tasks.addTask { await reportPresence() }
            tasks.addTask { await watchFiles() }
            tasks.addTask { await node.logoutWake.run() }
            tasks.addTask { await node.logouts.run(node.logoutWake.wakes, again: { node.logoutWake.wakeUp() }) }
        }
    }

    private func followRevocations() async {
        for await _ in node.wake.wakes {
            do {
                try await node.follow()
                node.storeProblem.set(nil)
            } catch {
                node.storeProblem.set(StoreError.sentence(error))
                node.log(.error, "revocations_unreadable", [("problem", StoreError.sentence(error))])
            }
        }
    }

    private func rotateKeys() async {
        while !Task.isCancelled {
            var wait = Duration.seconds(60)
            // By a wrong clock a key would be used before everybody's cache can have it. Another node does it.
            if node.presence?.clockProblem == nil {
                do {
                    let due = try await node.keys.maintain()
                    wait = min(.seconds(3_600), max(.seconds(1), due - node.environment.now()))
                } catch { node.log(.error, "key_upkeep_failed", [("problem", StoreError.sentence(error))]) }
            }
            try? await Task.sleep(for: wait)  // ends early when cancelled
        }
    }

    private func reportPresence() async {
        guard node.sharesItsStore else { return }
        while !Task.isCancelled {
            try? await Task.sleep(for: NodePresence.interval)  // ends early when cancelled
            do { try await node.report() } catch { node.log(.error, "node_report_failed", [("problem", StoreError.sentence(error))]) }
        }
    }

    private func watchFiles() async {
        let files = node.settings.applyFiles
        var versions = files.map(Files.version)
        while !Task.isCancelled {
            try? await Task.sleep(for: .seconds(1))  // ends early when cancelled
            let newVersions = files.map(Files.version)
            if newVersions != versions { await ServeCommand.reapply(node) }
            versions = newVersions
        }
    }
}
