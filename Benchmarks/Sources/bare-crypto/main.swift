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

let ecKey = P256.Signing.PrivateKey()
let ecRaw = try ecKey.signature(for: message).rawRepresentation
let edKey = Curve25519.Signing.PrivateKey()
let edRaw = try edKey.signature(for: message)

let ecSign = try microseconds(seconds: seconds) { try ecKey.signature(for: message).rawRepresentation.count == 64 }
let ecVerify = try microseconds(seconds: seconds) {
    ecKey.publicKey.isValidSignature(try P256.Signing.ECDSASignature(rawRepresentation: ecRaw), for: message)
}
let edSign = try microseconds(seconds: seconds) { try edKey.signature(for: message).count == 64 }
let edVerify = microseconds(seconds: seconds) { edKey.publicKey.isValidSignature(edRaw, for: message) }

func rounded(_ value: Double) -> Double { (value * 100).rounded() / 100 }
print(
    #"{"es256_sign": \#(rounded(ecSign)), "es256_verify": \#(rounded(ecVerify)), "#
        + #""ed25519_sign": \#(rounded(edSign)), "ed25519_verify": \#(rounded(edVerify))}"#
)
