import AuthCore
import Store
import Testing

@Suite("RefreshRotation: the state machine of refresh tokens")
struct RefreshRotationTests {
    static let start = Instant(seconds: 1_000)
    static let windows = RefreshRotation.Windows(reuse: .seconds(10), retryMax: .seconds(600))

    struct Row: Sendable, CustomTestStringConvertible {
        let name: String
        /// (counter, seconds after the start, sender proved)
        let steps: [(Int64, Int, Bool)]
        let last: RefreshRotation.Outcome
        var testDescription: String { name }
    }

    static let rows: [Row] = [
        Row(name: "the current token rotates", steps: [(1, 0, false)], last: .rotated(2)),
        Row(name: "a lost answer within the window gets the same successor", steps: [(1, 0, false), (1, 10, false)], last: .repeated(2)),
        Row(name: "past the window a public client gets a new successor", steps: [(1, 0, false), (1, 11, false)], last: .replaced(3)),
        Row(name: "past the window a proved sender gets the same", steps: [(1, 0, true), (1, 100_000, true)], last: .repeated(2)),
        Row(name: "past the retry limit a public client is a replay", steps: [(1, 0, false), (1, 601, false)], last: .replayed),
        Row(
            name: "retries do not extend the limit", steps: [(1, 0, false), (1, 300, false), (1, 600, false), (1, 601, false)],
            last: .replayed),
        Row(name: "a replaced successor is dead", steps: [(1, 0, false), (1, 11, false), (2, 12, false)], last: .replayed),
        Row(name: "the replacement is the current one", steps: [(1, 0, false), (1, 11, false), (3, 12, false)], last: .rotated(4)),
        Row(
            name: "an older one is a replay even within the window", steps: [(1, 0, false), (2, 1, false), (1, 2, false)], last: .replayed),
        Row(
            name: "an older one is a replay even from a proved sender", steps: [(1, 0, true), (2, 1, true), (1, 2, true)], last: .replayed),
        Row(name: "one ahead of the row is a lost write", steps: [(1, 0, false), (3, 1, false)], last: .aheadOfStore),
        Row(name: "zero was never issued", steps: [(0, 0, false)], last: .replayed),
        Row(name: "a clock that stepped back counts as within the window", steps: [(1, 100, false), (1, 0, false)], last: .repeated(2)),
    ]

    @Test("table", arguments: rows)
    func table(_ row: Row) {
        var rotation = RefreshRotation(startedAt: RefreshRotationTests.start)
        var outcome = RefreshRotation.Outcome.replayed
        for (counter, seconds, proved) in row.steps {
            outcome = rotation.present(
                counter, at: RefreshRotationTests.start + .seconds(seconds), senderIsProved: proved, windows: RefreshRotationTests.windows
            )
        }
        #expect(outcome == row.last)
    }

    /// Three parties share a grant: each presents any token that was ever handed out, at any of the moments that matter.
    /// Everything that can happen within six steps is walked, and the rules are checked in every state.
    @Test("model: all interleavings of three clients within six steps", arguments: [false, true])
    func model(proved: Bool) {
        var visited = Set<Model>()
        var frontier: Set<Model> = [Model()]
        for _ in 0..<6 {
            var next = Set<Model>()
            for model in frontier where visited.insert(model).inserted {
                for client in 0..<3 {
                    for counter in model.held(by: client) {
                        for wait in [0, 5, 11, 700] { next.insert(model.presenting(counter, by: client, after: wait, proved: proved)) }
                    }
                }
            }
            frontier = next.filter { !$0.isRevoked }
        }
        #expect(visited.count > 1_000)
    }

    /// A grant and what each of three clients holds. An answer may be lost: then its client still holds what it had.
    struct Model: Hashable {
        var rotation = RefreshRotation(startedAt: RefreshRotationTests.start)
        var now = 0
        /// The highest successor that was ever handed out.
        var highest: Int64 = 1
        /// Tokens that were presented and answered by a successor.
        var used: Set<Int64> = []
        var holdings: [Set<Int64>] = [[1], [1], [1]]
        var isRevoked = false

        func held(by client: Int) -> [Int64] { holdings[client].sorted() }

        func presenting(_ counter: Int64, by client: Int, after wait: Int, proved: Bool) -> Model {
            var model = self
            model.now += wait
            let before = rotation
            let outcome = model.rotation.present(
                counter, at: RefreshRotationTests.start + .seconds(model.now), senderIsProved: proved, windows: RefreshRotationTests.windows
            )
            switch outcome {
            case .rotated(let successor):
                // Only the current token rotates, and only once.
                #expect(counter == before.current && !used.contains(counter))
                #expect(successor == highest + 1)
                model.hand(successor, to: client, for: counter)
            case .repeated(let successor):
                #expect(counter == before.predecessor && successor == before.current)
                #expect(model.rotation == before)
                model.hand(successor, to: client, for: counter)
            case .replaced(let successor):
                // The one that is replaced was never presented, and a proved sender never needs this.
                #expect(!proved && !used.contains(before.current) && successor == highest + 1)
                model.hand(successor, to: client, for: counter)
            case .replayed:
                #expect(counter < before.current)
                #expect(model.rotation == before)
                model.isRevoked = true
            case .kept: Issue.record("this grant's tokens are used up")
            case .aheadOfStore: Issue.record("nobody holds a token that was not issued")
            }
            // One chain: a token that is not the current one or its predecessor works for nobody.
            #expect(model.rotation.predecessor <= model.rotation.current)
            return model
        }

        private mutating func hand(_ successor: Int64, to client: Int, for counter: Int64) {
            used.insert(counter)
            highest = max(highest, successor)
            holdings[client].insert(successor)
        }
    }
}
