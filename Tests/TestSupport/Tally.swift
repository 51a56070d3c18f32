internal import Synchronization

/// A count that several tasks share.
package final class Tally: Sendable {
    private let count = Atomic<Int>(0)

    package init() {}

    package var value: Int { count.load(ordering: .sequentiallyConsistent) }

    package func add() { count.wrappingAdd(1, ordering: .sequentiallyConsistent) }
}
