// The floor for a token: ES256 and Ed25519 of swift-crypto over 300 bytes, with nothing around them.
//
//     bare-crypto [SECONDS]        prints one JSON object: microseconds of CPU for each operation

internal import Crypto

#if canImport(Glibc)
internal import Glibc
#elseif canImport(Musl)
internal import Musl
#else
internal import Darwin
#endif

/// CPU seconds that this process has used so far.
func cpuSeconds() -> Double {
    var time = timespec()
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time)
    return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
}

/// Microseconds of CPU that one call of `operation` takes, measured for `seconds` after a warm-up of a fifth of it.
func microseconds(seconds: Double, _ operation: () throws -> Bool) rethrows -> Double {
    var failures = 0
    func run(_ limit: Double) throws -> Double {
        let start = cpuSeconds()
        var count = 0
        var used = 0.0
        while used < limit {
            for _ in 0..<50 where try !operation() { failures += 1 }
            count += 50
            used = cpuSeconds() - start
        }
        return used / Double(count) * 1e6
    }
    _ = try run(seconds / 5)
    let result = try run(seconds)
    precondition(failures == 0, "an operation failed")
    return result
}

let seconds = CommandLine.arguments.count > 1 ? (Double(CommandLine.arguments[1]) ?? 1) : 1
let message = [UInt8]((0..<300).map { UInt8(truncatingIfNeeded: $0) })

/// How many different messages are signed: the same one again and again would be learnt by the branch predictor, which real tokens are not.
let variety = 1024
let messages = (0..<variety).map { number in (0..<300).map { UInt8(truncatingIfNeeded: $0 &* (number + 1) &+ number >> 3) } }
nonisolated(unsafe) var turn = 0
func next() -> Int {
    turn = (turn + 1) % variety
    return turn
}

let ecKey = P256.Signing.PrivateKey()
let ecPublic = ecKey.publicKey
let ecSignatures = try messages.map { try ecKey.signature(for: $0).rawRepresentation }
let edKey = Curve25519.Signing.PrivateKey()
let edPublic = edKey.publicKey
let edSignatures = try messages.map { try edKey.signature(for: $0) }

let ecSign = try microseconds(seconds: seconds) { try ecKey.signature(for: messages[next()]).rawRepresentation.count == 64 }
let ecVerify = try microseconds(seconds: seconds) {
    let number = next()
    return ecPublic.isValidSignature(try P256.Signing.ECDSASignature(rawRepresentation: ecSignatures[number]), for: messages[number])
}
let ecVerifySame = try microseconds(seconds: seconds) {
    ecPublic.isValidSignature(try P256.Signing.ECDSASignature(rawRepresentation: ecSignatures[0]), for: messages[0])
}
let edSign = try microseconds(seconds: seconds) { try edKey.signature(for: messages[next()]).count == 64 }
let edVerify = microseconds(seconds: seconds) {
    let number = next()
    return edPublic.isValidSignature(edSignatures[number], for: messages[number])
}

func rounded(_ value: Double) -> Double { (value * 100).rounded() / 100 }
print(
    #"{"es256_sign": \#(rounded(ecSign)), "es256_verify": \#(rounded(ecVerify)), "es256_verify_same": \#(rounded(ecVerifySame)), "#
        + #""ed25519_sign": \#(rounded(edSign)), "ed25519_verify": \#(rounded(edVerify))}"#
)
