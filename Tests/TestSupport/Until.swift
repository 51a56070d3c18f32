internal import NIOCore
internal import NIOPosix

/// Looks now and then whether `condition` holds, for twenty seconds at the most, and lets others work meanwhile.
///
/// - Returns: Whether it came to hold.
package func until(_ condition: () -> Bool) async -> Bool {
    let loop = RawClient.group.next()
    for _ in 0..<4_000 {
        if condition() { return true }
        try? await loop.scheduleTask(in: .milliseconds(5)) {}.futureResult.get()  // fails only when the loop has ended
    }
    return condition()
}
