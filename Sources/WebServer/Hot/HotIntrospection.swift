package import AuthCore
package import OAuthServer
internal import Synchronization

/// `POST /introspect` of an access token by a client that this node has in memory: as cheap as `/validate`. Everything else about the
/// endpoint, and every refusal, is `OAuthEndpoints`'.
///
/// A service asks about one token with each request that brings it. The second time the question is known to the byte, and neither read
/// again nor its answer written: whether the client is the same and the token still accepted is asked each time.
package final class HotIntrospection: Sendable {
    private let endpoint: IntrospectionEndpoint
    private let trustedProxies: [AddressRange]
    private let environment: Environment
    private let observe: @Sendable () -> Void
    private let answers = KnownAnswers()

    package init(
        endpoint: IntrospectionEndpoint, trustedProxies: [AddressRange], environment: Environment, observe: @escaping @Sendable () -> Void
    ) {
        self.endpoint = endpoint
        self.trustedProxies = trustedProxies
        self.environment = environment
        self.observe = observe
    }

    package func respond(to facts: RequestFacts, body: [UInt8]) -> ResponseFacts? {
        // Of those that want a JWT the signature is made elsewhere.
        guard facts.method == "POST", facts.headers.count("dpop") == 0, !OAuthEndpoints.wantsIntrospectionJWT(facts.headers) else {
            return nil
        }
        let client = ClientAddress.resolve(peer: facts.peer, headers: facts.headers, trusted: trustedProxies)
        let now = environment.now()
        let question = HotIntrospection.question(facts, body)
        // From the same address: who proved itself there counts for who may be held up.
        if let question, let known = answers.find(question), known.address == client,
            endpoint.stillHolds(known.answer, from: client, at: now)
        {
            observe()
            return known.response
        }
        let request = APIRequest(facts: facts, body: body, parameters: [], traceID: "", now: now, client: client)
        // What is wrong with it is said by the other way.
        guard let asked = try? request.oauth(), let answer = endpoint.quick(asked) else { return nil }
        observe()
        let response = ResponseFacts.json(200, JSONValue.object(answer.members).encoded)
        if let question, answer.token != nil {
            let bytes = 1_024 + body.count + response.body.count
            answers.remember(question, KnownAnswers.Entry(answer: answer, address: client, response: response, bytes: bytes))
        }
        return response
    }

    /// Everything that an answer depends on and that is in the request: each part with its length in front. Nothing where a header comes
    /// twice.
    private static func question(_ facts: RequestFacts, _ body: [UInt8]) -> TokenHash? {
        guard body.count <= 20_000, facts.headers.count("authorization") <= 1, facts.headers.count("content-type") <= 1 else { return nil }
        let parts = [facts.target[...], facts.headers.single("authorization") ?? [], facts.headers.single("content-type") ?? [], body[...]]
        var bytes: [UInt8] = []
        bytes.reserveCapacity(parts.reduce(0) { $0 + $1.count + 8 })
        for part in parts {
            withUnsafeBytes(of: UInt64(part.count)) { bytes.append(contentsOf: $0) }
            bytes.append(contentsOf: part)
        }
        return TokenHash(of: bytes)
    }
}

/// What was answered about valid tokens, by the question. Bounded in bytes; a part that is full is begun anew.
private final class KnownAnswers: Sendable {
    final class Entry: Sendable {
        let answer: IntrospectionEndpoint.Answer
        let address: PeerAddress
        let response: ResponseFacts
        /// What it may take up, the token included.
        let bytes: Int

        init(answer: IntrospectionEndpoint.Answer, address: PeerAddress, response: ResponseFacts, bytes: Int) {
            (self.answer, self.address, self.response, self.bytes) = (answer, address, response, bytes)
        }
    }

    private struct Entries {
        var byQuestion: [TokenHash: Entry] = [:]
        var bytes = 0
    }

    private final class Shard: Sendable {
        let entries = Mutex(Entries())
    }

    private static let shardCount = 8
    private static let shardBytesMax = 1 << 20
    private let shards = (0..<shardCount).map { _ in Shard() }

    func find(_ question: TokenHash) -> Entry? { shard(question).entries.withLock { $0.byQuestion[question] } }

    func remember(_ question: TokenHash, _ entry: Entry) {
        shard(question).entries.withLock { entries in
            if entries.bytes + entry.bytes > KnownAnswers.shardBytesMax { entries = Entries() }
            if let old = entries.byQuestion.updateValue(entry, forKey: question) { entries.bytes -= old.bytes }
            entries.bytes += entry.bytes
        }
    }

    // The dictionaries take the first word of the digest.
    private func shard(_ question: TokenHash) -> Shard { shards[Int(truncatingIfNeeded: question.words.3 & 7)] }
}
