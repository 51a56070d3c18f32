import AuthCore
import Testing
import TokenVerification

@Suite("RFC 9449 §11.1, DP-03: a proof is used once")
struct ProofReplayTests {
    private func proof(_ id: String, seed: UInt8 = 21) throws -> DPoPProof {
        var proof = try PresentedProof(try TestKey.es256("device", seed: seed))
        proof.claims["jti"] = .string(id)
        return try DPoPProof(try proof.text(), for: try proof.request(), at: proof.now)
    }

    @Test("the same jti of the same key is refused, another of either is not")
    func once() throws {
        let replay = ProofReplay(window: .seconds(10), countMax: 100)
        #expect(replay.use(try proof("a"), at: .zero) == .first)
        #expect(replay.use(try proof("a"), at: .zero) == .repeated)
        #expect(replay.use(try proof("b"), at: .zero) == .first)
        #expect(replay.use(try proof("a", seed: 22), at: .zero) == .first)
        #expect(replay.use(try proof("a"), at: .seconds(10)) == .repeated)
        #expect(replay.count == 3)
    }

    @Test("it is forgotten after its window and what clocks may gain, not before")
    func forgotten() throws {
        let replay = ProofReplay(window: .seconds(10), countMax: 100)
        let (first, second) = (try proof("a"), try proof("b"))
        #expect(replay.use(first, at: .seconds(100)) == .first)
        #expect(replay.use(second, at: .seconds(105)) == .first)
        #expect(replay.use(first, at: .seconds(111)) == .repeated)
        #expect(replay.use(first, at: .seconds(112)) == .first)
        #expect(replay.use(second, at: .seconds(112)) == .repeated)
        #expect(replay.count == 2)
    }

    @Test("when it is full nothing is forgotten early and nothing more is taken; time makes room")
    func full() throws {
        let replay = ProofReplay(window: .seconds(10), countMax: 3)
        let proofs = try (0..<4).map { try proof("p\($0)") }
        for proof in proofs.prefix(3) { #expect(replay.use(proof, at: .seconds(1)) == .first) }
        for _ in 0..<20 { #expect(replay.use(proofs[3], at: .seconds(1)) == .full) }
        for proof in proofs.prefix(3) { #expect(replay.use(proof, at: .seconds(12)) == .repeated) }
        #expect(replay.use(proofs[3], at: .seconds(13)) == .first)
        #expect(replay.count == 1)
    }

    @Test("of 64 racing callers one uses it, and it stays bounded while many come and go")
    func race() async throws {
        let replay = ProofReplay(window: .seconds(10), countMax: 10_000)
        let proof = try proof("raced")
        let uses = await withTaskGroup(of: ProofReplay.Use.self) { group in
            for _ in 0..<64 { group.addTask { replay.use(proof, at: .zero) } }
            return await group.reduce(into: [ProofReplay.Use]()) { $0.append($1) }
        }
        #expect(uses.count { $0 == .first } == 1)
        #expect(uses.count { $0 == .repeated } == 63)
    }

    @Test("what is forgotten gives its memory back: 30 000 proofs in turn, a few held at a time")
    func bounded() throws {
        let replay = ProofReplay(window: .seconds(1), countMax: 1_000)
        // One proof in many clothes: use looks at key and jti alone.
        let proofs = try (0..<64).map { try proof("q\($0)") }
        for second in 0..<500 {
            for proof in proofs { #expect(replay.use(proof, at: .seconds(UInt64(second) * 3)) == .first) }
            #expect(replay.count <= 128)
        }
    }
}
