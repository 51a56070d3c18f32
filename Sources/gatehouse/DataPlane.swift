import AuthCore
import Gateway
import HTTPEdge
import NIOCore
import ProxyServer
import Settings
import TokenVerification
import WebServer

/// What the data plane of a node with a database and that of a gateway without one have in common.
struct DataPlane: Sendable {
    let settings: ServerSettings
    let environment: Environment
    let log: Log
    let metrics: Metrics

    func responder(
        _ group: any EventLoopGroup, decide: @escaping @Sendable (RequestFacts, _ mayAsk: Bool) -> AccessDecision,
        resolve: @escaping @Sendable (AccessQuestion) async -> Bool
    ) throws -> ProxyResponder {
        var configuration = ProxyResponder.Configuration()
        configuration.trustedProxies = settings.trustedProxies
        let hooks = ProxyResponder.Hooks(
            decide: decide, resolve: resolve,
            reserved: { [environment] _ in
                let error = APIError(404, "not_found", "There is nothing at this path.")
                return .answer(error.response(traceID: TraceID(environment).description))
            },
            log: { [self] in tell($0) }
        )
        return try ProxyResponder(configuration, hooks: hooks, environment: environment, group: group)
    }

    /// One request of the gateway is over. What was forwarded and answered is a line for debugging alone: at full rate a log
    /// of every request costs more than the requests.
    private func tell(_ record: ProxyLogRecord) {
        guard let reason = record.reason else {
            log(
                .debug, "proxied",
                [
                    ("route", record.route ?? ""), ("method", record.method), ("path", String(decoding: record.path, as: UTF8.self)),
                    ("status", String(record.status)), ("trace_id", record.traceID.description),
                ]
            )
            return
        }
        metrics.count("gatehouse_proxied_total", record.route ?? "", String(record.status), reason)
        log(
            record.status >= 500 ? .warning : .info, "gateway_refused",
            [
                ("route", record.route ?? ""), ("method", record.method), ("path", String(decoding: record.path, as: UTF8.self)),
                ("status", String(record.status)), ("reason", reason), ("upstream", record.upstream?.description ?? ""),
                ("trace_id", record.traceID.description),
            ]
        )
    }

    static func declare(_ metrics: Metrics, _ verifier: TokenVerifier, _ desk: ProofDesk, _ environment: Environment) {
        metrics.declare(
            "gatehouse_proxied_total", "Requests at the gateway, by route, status and reason.", labels: ["route", "status", "reason"])
        metrics.gauge("gatehouse_revocations", "Entries in the replica of the revocations.") { Int64(verifier.revocations.current.count) }
        metrics.gauge("gatehouse_revocations_age_milliseconds", "Age of the replica of the revocations.") {
            verifier.revocations.age(at: environment.uptime())?.wholeMilliseconds ?? -1
        }
        metrics.gauge("gatehouse_verification_cache_bytes", "Bytes in the cache of verified tokens.") { Int64(verifier.cacheBytes) }
        metrics.gauge("gatehouse_proofs_remembered", "DPoP proofs that were used a short while ago and are not taken again.") {
            Int64(desk.replay.count)
        }
        metrics.gauge("gatehouse_log_lines_dropped", "Log lines dropped since the start, because the log is read too slowly.") {
            Int64(LogWriter.dropped)
        }
    }
}
