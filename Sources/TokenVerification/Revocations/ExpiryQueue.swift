internal import AuthCore

/// The entries of a replica by the time when they may go: a binary heap, the earliest first.
///
/// An entry whose time was raised is here twice until its first time has come; each stands for one entry of the log.
struct ExpiryQueue: Sendable {
    private var heap: [(until: Instant, key: Revocations.Key)] = []

    var count: Int { heap.count }

    mutating func insert(_ key: Revocations.Key, until: Instant) {
        heap.append((until, key))
        var child = heap.count - 1
        while child > 0 {
            let parent = (child - 1) / 2
            if heap[parent].until <= heap[child].until { return }
            heap.swapAt(parent, child)
            child = parent
        }
    }

    /// Takes the earliest if its time is before `now`.
    mutating func popFirst(before now: Instant) -> (until: Instant, key: Revocations.Key)? {
        guard let first = heap.first, first.until < now else { return nil }
        heap.swapAt(0, heap.count - 1)
        heap.removeLast()
        var parent = 0
        while true {
            var smallest = parent
            for child in [2 * parent + 1, 2 * parent + 2] where child < heap.count && heap[child].until < heap[smallest].until {
                smallest = child
            }
            if smallest == parent { return first }
            heap.swapAt(parent, smallest)
            parent = smallest
        }
    }
}
