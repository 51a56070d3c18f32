internal import AuthCore
internal import Synchronization

/// Counts the open connections of one server, overall and by address (GW-12).
final class ConnectionAdmission: Sendable {
    enum Verdict: Equatable {
        case admitted
        /// Over a maximum; told so with a 503 when `answers` is true.
        case refused(answers: Bool)
    }

    private struct State {
        var open = 0
        var refusing = 0
        var byAddress: [PeerAddress: Int] = [:]
    }

    private let limits: EdgeLimits
    private let state = Mutex(State())

    init(_ limits: EdgeLimits) { self.limits = limits }

    /// What is counted as one peer: the IPv4 address, or the /64.
    private static func key(_ peer: PeerAddress) -> PeerAddress { peer.v4 == nil ? PeerAddress(high: peer.high, low: 0) : peer }

    private func isLimited(_ peer: PeerAddress) -> Bool { !limits.unlimitedAddresses.contains { $0.contains(peer) } }

    /// Each call is matched by `release` with the same verdict.
    func admit(_ peer: PeerAddress) -> Verdict {
        let isLimited = isLimited(peer)
        return state.withLock { state in
            let key = ConnectionAdmission.key(peer)
            let isOver =
                state.open >= limits.connectionsMax
                || isLimited && state.byAddress[key, default: 0] >= limits.connectionsPerAddressMax
            if isOver {
                state.refusing += 1
                return .refused(answers: state.refusing <= limits.refusalsMax)
            }
            state.open += 1
            if isLimited { state.byAddress[key, default: 0] += 1 }
            return .admitted
        }
    }

    func release(_ peer: PeerAddress, _ verdict: Verdict) {
        let isLimited = isLimited(peer)
        state.withLock { state in
            guard verdict == .admitted else {
                state.refusing -= 1
                return
            }
            state.open -= 1
            guard isLimited else { return }
            let key = ConnectionAdmission.key(peer)
            let count = state.byAddress[key, default: 1] - 1
            state.byAddress[key] = count > 0 ? count : nil
        }
    }
}
