/// What a search for parameters found.
package struct TunedPasswordHashing: Sendable, Equatable {
    package let parameters: Argon2Parameters
    package let measured: Duration
}

/// The strongest parameters with one lane whose hash takes at most `target`: memory first, because memory is what an attacker's
/// hardware has to buy, then passes (RFC 9106 §4).
///
/// Never below `Argon2Parameters.standard`, so the result may be slower than the target on a slow machine.
/// - Parameter memoryKiBMax: The most that one hash may take; the pool takes this once a thread.
/// - Parameter measure: The time of one hash. Called at most 3 times for each of some 40 candidates; the least counts.
package func tunePasswordHashing(
    target: Duration,
    memoryKiBMax: Int = 262_144,
    measure: (Argon2Parameters) -> Duration
) -> TunedPasswordHashing {
    let ceiling = min(max(memoryKiBMax, Argon2Parameters.standard.memoryKiB), Argon2Parameters.memoryKiBMax)
    func least(_ parameters: Argon2Parameters) -> TunedPasswordHashing {
        let times = [measure(parameters), measure(parameters), measure(parameters)]
        return TunedPasswordHashing(parameters: parameters, measured: times.reduce(times[0], min))
    }
    func candidate(_ memoryKiB: Int, _ iterations: Int) -> TunedPasswordHashing? {
        Argon2Parameters(memoryKiB: memoryKiB, iterations: iterations, parallelism: 1).map(least)
    }

    var best = least(.standard)
    guard best.measured <= target else { return best }
    // In whole MiB: the largest that still fits, by halving.
    var fits = best.parameters.memoryKiB / 1_024
    var tooMuch = ceiling / 1_024 + 1
    while tooMuch - fits > 1 {
        let middle = fits + (tooMuch - fits) / 2
        if let found = candidate(middle * 1_024, best.parameters.iterations), found.measured <= target {
            best = found
            fits = middle
        } else {
            tooMuch = middle
        }
    }
    guard fits == ceiling / 1_024 else { return best }
    var iterationsFit = best.parameters.iterations
    var iterationsTooMany = Argon2Parameters.iterationsMax + 1
    while iterationsTooMany - iterationsFit > 1 {
        let middle = iterationsFit + (iterationsTooMany - iterationsFit) / 2
        if let found = candidate(best.parameters.memoryKiB, middle), found.measured <= target {
            best = found
            iterationsFit = middle
        } else {
            iterationsTooMany = middle
        }
    }
    return best
}
