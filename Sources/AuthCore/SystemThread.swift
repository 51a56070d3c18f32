#if canImport(Glibc)
internal import Glibc
#elseif canImport(Musl)
internal import Musl
#else
internal import Darwin
#endif

/// A thread of the system's own, for work that blocks: neither Swift's cooperative pool nor Dispatch's queues may be held up by it, and
/// both stop making threads at some number.
public enum SystemThread {
    private final class Body: Sendable {
        let run: @Sendable () -> Void

        init(_ run: @escaping @Sendable () -> Void) { self.run = run }
    }

    /// Starts a thread that runs `body` and ends with it.
    ///
    /// - Returns: Whether the system gave one.
    public static func start(_ body: @escaping @Sendable () -> Void) -> Bool {
        let argument = Unmanaged.passRetained(Body(body))
        #if canImport(Darwin)
        var thread: pthread_t?
        #else
        var thread = pthread_t()
        #endif
        let status = pthread_create(
            &thread, nil,
            { raw in
                #if canImport(Darwin)
                let pointer: UnsafeMutableRawPointer? = raw
                #else
                let pointer = raw
                #endif
                if let pointer { Unmanaged<Body>.fromOpaque(pointer).takeRetainedValue().run() }
                return nil
            }, argument.toOpaque()
        )
        guard status == 0 else {
            argument.release()
            return false
        }
        #if canImport(Darwin)
        if let thread { pthread_detach(thread) }
        #else
        pthread_detach(thread)
        #endif
        return true
    }

    /// What `body` gives, from a thread of its own; nothing when the system gives no thread.
    public static func value<Output: Sendable>(of body: @escaping @Sendable () -> Output) async -> Output? {
        await withCheckedContinuation { continuation in
            if !start({ continuation.resume(returning: body()) }) { continuation.resume(returning: nil) }
        }
    }
}
