internal import AuthCore
internal import CArgon2
internal import CSodium

/// How much one Argon2id hash costs (RFC 9106 §3.1).
package struct Argon2Parameters: Sendable, Hashable {
    /// `m`, in KiB.
    package let memoryKiB: Int
    /// `t`: passes over that memory.
    package let iterations: Int
    /// `p`: lanes.
    package let parallelism: Int

    /// 19 MiB, two passes, one lane: OWASP's first choice (PW-07).
    package static let standard = Argon2Parameters(checkedMemoryKiB: 19_456, iterations: 2, parallelism: 1)

    package static let memoryKiBMax = PasswordHash.memoryBytesMax / 1_024
    package static let iterationsMax = 64
    package static let parallelismMax = 16
    /// Memory times passes, in KiB: about four seconds.
    package static let workMax = 4 * memoryKiBMax

    /// - Returns: Nothing outside 8 KiB a lane…1 GiB, 1…64 passes, 1…16 lanes, or above `workMax`.
    package init?(memoryKiB: Int, iterations: Int, parallelism: Int) {
        guard (1...Argon2Parameters.parallelismMax) ~= parallelism, (1...Argon2Parameters.iterationsMax) ~= iterations,
            memoryKiB >= 8 * parallelism, memoryKiB <= Argon2Parameters.memoryKiBMax,
            memoryKiB * iterations <= Argon2Parameters.workMax
        else { return nil }
        self.init(checkedMemoryKiB: memoryKiB, iterations: iterations, parallelism: parallelism)
    }

    init(checkedMemoryKiB memoryKiB: Int, iterations: Int, parallelism: Int) {
        self.memoryKiB = memoryKiB
        self.iterations = iterations
        self.parallelism = parallelism
    }

    /// Whether it reaches one of OWASP's equal choices: 46 MiB with one pass, 19 with two, 12 with three, 9 with four, 7 with five.
    package var isRecommended: Bool {
        let floors = [47_104, 19_456, 12_288, 9_216, 7_168]
        return memoryKiB >= floors[min(iterations, floors.count) - 1]
    }
}

/// An Argon2 hash in the PHC string format.
struct Argon2Hash: Sendable {
    enum Variant: String, Sendable {
        case id = "argon2id"
        case i = "argon2i"
        case d = "argon2d"
    }

    static let saltBytes = 16
    static let hashBytes = 32

    let variant: Variant
    let version: Int
    let parameters: Argon2Parameters
    let salt: [UInt8]
    let hash: [UInt8]

    init(variant: Variant, version: Int, parameters: Argon2Parameters, salt: [UInt8], hash: [UInt8]) {
        self.variant = variant
        self.version = version
        self.parameters = parameters
        self.salt = salt
        self.hash = hash
    }

    /// - Returns: Nothing when the name is another one.
    init?(_ parts: [ArraySlice<UInt8>]) throws(PasswordHashError) {
        guard let variant = Variant(rawValue: String(decoding: parts[0], as: UTF8.self)) else { return nil }
        var rest = Array(parts.dropFirst())
        var version = 0x10
        if rest.count == 4 {
            guard rest[0].isText("v=19") || rest[0].isText("v=16") else { throw .malformed }
            version = rest[0].isText("v=19") ? 0x13 : 0x10
            rest.removeFirst()
        }
        guard rest.count == 3 else { throw .malformed }
        let values = try HashText.parameters(rest[0], ["m", "t", "p"])
        let memory = try HashText.number(values[0], 8...Argon2Parameters.memoryKiBMax)
        let iterations = try HashText.number(values[1], 1...Argon2Parameters.iterationsMax)
        let lanes = try HashText.number(values[2], 1...Argon2Parameters.parallelismMax)
        guard memory * iterations <= Argon2Parameters.workMax else { throw .tooCostly }
        guard let parameters = Argon2Parameters(memoryKiB: memory, iterations: iterations, parallelism: lanes),
            let salt = HashText.base64(rest[1]), (8...64) ~= salt.count,
            let hash = HashText.base64(rest[2]), (16...64) ~= hash.count
        else { throw .malformed }
        self.init(variant: variant, version: version, parameters: parameters, salt: salt, hash: hash)
    }

    /// The PHC string.
    var text: String {
        "$\(variant.rawValue)$v=\(version)$m=\(parameters.memoryKiB),t=\(parameters.iterations),p=\(parameters.parallelism)"
            + "$\(HashText.base64(salt))$\(HashText.base64(hash))"
    }

    func matches(_ password: [UInt8]) throws(PasswordHashError) -> Bool {
        let computed = try Argon2Hash.derive(self, from: password)
        return isEqualInConstantTime(computed, hash)
    }

    func isWeaker(than wanted: Argon2Parameters) -> Bool {
        variant != .id || version != 0x13 || salt.count < Argon2Hash.saltBytes || hash.count < Argon2Hash.hashBytes
            || parameters.memoryKiB < wanted.memoryKiB
            || parameters.memoryKiB * parameters.iterations < wanted.memoryKiB * wanted.iterations
    }

    /// The hash of `password` under the other fields of `form`. The lanes run one after another on this thread, so an imported
    /// `p=16` starts no threads.
    static func derive(_ form: Argon2Hash, from password: [UInt8]) throws(PasswordHashError) -> [UInt8] {
        if form.isSodiumForm { return try deriveWithSodium(form, from: password) }
        var output = [UInt8](repeating: 0, count: form.hash.count)
        var secret = password
        var salt = form.salt
        let status = output.withUnsafeMutableBufferPointer { output in
            secret.withUnsafeMutableBufferPointer { secret in
                salt.withUnsafeMutableBufferPointer { salt in
                    var context = argon2_context()
                    context.out = output.baseAddress
                    context.outlen = UInt32(output.count)
                    context.pwd = secret.baseAddress
                    context.pwdlen = UInt32(secret.count)
                    context.salt = salt.baseAddress
                    context.saltlen = UInt32(salt.count)
                    context.t_cost = UInt32(form.parameters.iterations)
                    context.m_cost = UInt32(form.parameters.memoryKiB)
                    context.lanes = UInt32(form.parameters.parallelism)
                    context.threads = 1
                    context.version = UInt32(form.version)
                    return argon2_ctx(&context, form.variant.type)
                }
            }
        }
        // Everything else was checked when the parameters were made, so this is a failed allocation.
        guard status == ARGON2_OK.rawValue else { throw .unavailable }
        return output
    }
}

extension Argon2Hash {
    /// libsodium computes the form of every new hash, in about a fifth less time than libargon2 (docs/decisions/0007); the other
    /// forms, which are only imported, are libargon2's.
    fileprivate var isSodiumForm: Bool {
        variant == .id && version == 0x13 && parameters.parallelism == 1 && salt.count == Int(crypto_pwhash_SALTBYTES)
            && hash.count >= Int(crypto_pwhash_BYTES_MIN)
    }

    /// Chooses the implementation for this processor; once, and safe to run at the same time on several threads.
    private static let isSodiumReady = sodium_init() >= 0

    private static func deriveWithSodium(_ form: Argon2Hash, from password: [UInt8]) throws(PasswordHashError) -> [UInt8] {
        guard isSodiumReady else { throw .unavailable }
        var output = [UInt8](repeating: 0, count: form.hash.count)
        // A trailing NUL that is not counted, so that an empty password has an address too.
        let terminated = password.map { CChar(bitPattern: $0) } + [0]
        let status = crypto_pwhash(
            &output, UInt64(output.count), terminated, UInt64(password.count), form.salt, UInt64(form.parameters.iterations),
            form.parameters.memoryKiB * 1_024, crypto_pwhash_ALG_ARGON2ID13
        )
        // Everything else was checked when the parameters were made, so this is a failed allocation.
        guard status == 0 else { throw .unavailable }
        return output
    }
}

extension Argon2Hash.Variant {
    fileprivate var type: argon2_type {
        switch self {
        case .id: Argon2_id
        case .i: Argon2_i
        case .d: Argon2_d
        }
    }
}
