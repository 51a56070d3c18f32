internal import AuthCore
internal import CCrypt
internal import Crypto
internal import CryptoExtras

/// PBKDF2 with HMAC-SHA-256 or -512 (RFC 8018 §5.2), as passlib and Django write it.
struct PBKDF2Hash: Sendable {
    enum Digest: String, Sendable {
        case sha256 = "pbkdf2-sha256"
        case sha512 = "pbkdf2-sha512"

        var bytes: Int { self == .sha256 ? 32 : 64 }
    }

    /// About three seconds.
    static let roundsMax = 5_000_000

    let digest: Digest
    let rounds: Int
    let salt: [UInt8]
    let hash: [UInt8]

    init?(passlib parts: [ArraySlice<UInt8>]) throws(PasswordHashError) {
        guard let digest = Digest(rawValue: String(decoding: parts[0], as: UTF8.self)) else { return nil }
        guard parts.count == 4 else { throw .malformed }
        let dot = UInt8(ascii: ".")
        guard let salt = HashText.base64(parts[2], plus: dot), let hash = HashText.base64(parts[3], plus: dot) else { throw .malformed }
        try self.init(digest, parts[1], salt, hash)
    }

    init?(django fields: [ArraySlice<UInt8>]) throws(PasswordHashError) {
        let digest: Digest
        if fields[0].isText("pbkdf2_sha256") {
            digest = .sha256
        } else if fields[0].isText("pbkdf2_sha512") {
            digest = .sha512
        } else {
            return nil
        }
        guard fields.count == 4, let hash = Base64.decode(fields[3]) else { throw .malformed }
        // Django hashes the characters of the salt themselves.
        try self.init(digest, fields[1], Array(fields[2]), hash)
    }

    private init(_ digest: Digest, _ rounds: ArraySlice<UInt8>, _ salt: [UInt8], _ hash: [UInt8]) throws(PasswordHashError) {
        self.digest = digest
        self.rounds = try HashText.number(rounds, 1...PBKDF2Hash.roundsMax)
        guard (1...64) ~= salt.count, hash.count == digest.bytes else { throw .malformed }
        self.salt = salt
        self.hash = hash
    }

    func matches(_ password: [UInt8]) throws(PasswordHashError) -> Bool {
        isEqualInConstantTime(try PBKDF2Hash.derive(digest, password, salt: salt, rounds: rounds, count: hash.count), hash)
    }

    static func derive(_ digest: Digest, _ password: [UInt8], salt: [UInt8], rounds: Int, count: Int) throws(PasswordHashError) -> [UInt8] {
        do {
            let key = try KDF.Insecure.PBKDF2.deriveKey(
                from: password, salt: salt, using: digest == .sha256 ? .sha256 : .sha512, outputByteCount: count,
                unsafeUncheckedRounds: rounds
            )
            return key.withUnsafeBytes { Array($0) }
        } catch { throw .unavailable }
    }
}

/// scrypt (RFC 7914) as passlib writes it.
struct ScryptHash: Sendable {
    /// The product N·r·p; 2^20 is OWASP's choice.
    static let workMax = 1 << 23

    let rounds: Int
    let blockSize: Int
    let parallelism: Int
    let salt: [UInt8]
    let hash: [UInt8]

    init?(_ parts: [ArraySlice<UInt8>]) throws(PasswordHashError) {
        guard parts[0].isText("scrypt") else { return nil }
        guard parts.count == 4 else { throw .malformed }
        let values = try HashText.parameters(parts[1], ["ln", "r", "p"])
        let exponent = try HashText.number(values[0], 1...23)
        rounds = 1 << exponent
        blockSize = try HashText.number(values[1], 1...64)
        parallelism = try HashText.number(values[2], 1...64)
        // RFC 7914 §2: N < 2^(128·r/8).
        guard exponent < 16 * blockSize, let salt = HashText.base64(parts[2]), (1...64) ~= salt.count,
            let hash = HashText.base64(parts[3]), (16...64) ~= hash.count
        else { throw .malformed }
        guard ScryptHash.isAffordable(rounds, blockSize, parallelism) else { throw .tooCostly }
        self.salt = salt
        self.hash = hash
    }

    /// - Parameters: Each at most 2^23, so the products fit.
    static func isAffordable(_ rounds: Int, _ blockSize: Int, _ parallelism: Int) -> Bool {
        rounds * blockSize * parallelism <= workMax && 128 * rounds * blockSize <= PasswordHash.memoryBytesMax
    }

    func matches(_ password: [UInt8]) throws(PasswordHashError) -> Bool {
        do {
            let key = try KDF.Scrypt.deriveKey(
                from: password, salt: salt, outputByteCount: hash.count, rounds: rounds, blockSize: blockSize, parallelism: parallelism
            )
            return key.withUnsafeBytes { isEqualInConstantTime($0, hash) }
        } catch { throw .unavailable }
    }
}

/// What crypt(3) of libxcrypt computes: bcrypt, SHA-512, scrypt and yescrypt. The costs are bounded before it is called.
struct CryptHash: Sendable {
    enum Kind: String, Sendable {
        case bcrypt
        case sha512 = "sha512crypt"
        case scrypt
        case yescrypt
    }

    /// 2^16 rounds of bcrypt: about four seconds.
    static let bcryptCostMax = 16
    /// What bcrypt looks at. It ignores the rest, so a longer password would match anything with the same beginning (PW-07).
    static let bcryptBytesMax = 72
    static let sha512RoundsMax = 2_000_000
    /// libxcrypt's own bound on a passphrase.
    static let passphraseBytesMax = 511

    let kind: Kind
    let setting: [CChar]
    /// The characters that are compared: those behind the salt.
    let hash: [UInt8]

    init?(_ bytes: [UInt8], _ parts: [ArraySlice<UInt8>]) throws(PasswordHashError) {
        let length: Int
        switch String(decoding: parts[0], as: UTF8.self) {
        case "2a", "2b", "2y":
            kind = .bcrypt
            length = 31
            guard parts.count == 3, parts[1].count == 2, parts[2].count == 53 else { throw .malformed }
            // Two digits, with a leading zero below ten.
            let cost = parts[1].first == 0x30 ? parts[1].dropFirst() : parts[1]
            _ = try HashText.number(cost, 4...CryptHash.bcryptCostMax)
        case "6":
            kind = .sha512
            length = 86
            var rest = Array(parts.dropFirst())
            if rest.count == 3 {
                let rounds = Array("rounds=".utf8)
                guard rest[0].starts(with: rounds) else { throw .malformed }
                _ = try HashText.number(rest[0].dropFirst(rounds.count), 1_000...CryptHash.sha512RoundsMax)
                rest.removeFirst()
            }
            guard rest.count == 2, (1...16) ~= rest[0].count else { throw .malformed }
        case "7":
            kind = .scrypt
            length = 43
            guard parts.count == 3 else { throw .malformed }
            try CryptHash.checkScrypt(parts[1])
        case "y":
            kind = .yescrypt
            length = 43
            guard parts.count == 4, (1...86) ~= parts[2].count else { throw .malformed }
            try CryptHash.checkYescrypt(parts[1])
        default: return nil
        }
        let tail = bytes.suffix(length)
        // The hash is one whole field, but for bcrypt, whose last field begins with 22 characters of salt.
        guard kind == .bcrypt || parts.last?.count == length,
            parts.dropFirst(kind == .sha512 ? parts.count - 2 : 2).allSatisfy({ $0.allSatisfy { HashText.cryptDigit($0) != nil } })
        else { throw .malformed }
        setting = bytes.map { CChar(bitPattern: $0) } + [0]
        hash = Array(tail)
    }

    /// `$7$`: one character of log2 N, five of r, five of p, then the salt.
    private static func checkScrypt(_ field: ArraySlice<UInt8>) throws(PasswordHashError) {
        let digits = field.map { HashText.cryptDigit($0) }
        guard (12...54) ~= digits.count else { throw .malformed }
        var values: [Int] = []
        for digit in digits {
            guard let digit else { throw .malformed }
            values.append(digit)
        }
        let exponent = values[0]
        let blockSize = values[1...5].enumerated().reduce(0) { $0 + $1.element << (6 * $1.offset) }
        let lanes = values[6...10].enumerated().reduce(0) { $0 + $1.element << (6 * $1.offset) }
        guard exponent >= 1, blockSize >= 1, lanes >= 1 else { throw .malformed }
        guard exponent <= 23, blockSize <= 64, lanes <= 64, ScryptHash.isAffordable(1 << exponent, blockSize, lanes) else {
            throw .tooCostly
        }
    }

    /// `$y$`: flavour `j`, one character of log2 N, one of r, and no further parameter. This is all that libxcrypt writes.
    private static func checkYescrypt(_ field: ArraySlice<UInt8>) throws(PasswordHashError) {
        let digits = field.map { HashText.cryptDigit($0) }
        guard digits.count == 3, field.first == UInt8(ascii: "j"), let exponent = digits[1], let blockSize = digits[2],
            // From 48 on the first character announces a second one.
            exponent < 48, blockSize < 48
        else { throw .malformed }
        guard exponent + 1 <= 23, ScryptHash.isAffordable(1 << (exponent + 1), blockSize + 1, 1) else { throw .tooCostly }
    }

    func matches(_ password: [UInt8]) throws(PasswordHashError) -> Bool {
        guard password.count <= CryptHash.passphraseBytesMax, kind != .bcrypt || password.count <= CryptHash.bcryptBytesMax
        else { return false }
        let phrase = password.map { CChar(bitPattern: $0) } + [0]
        // Working space of its own for each call (struct crypt_data is half as large): crypt_rn shares nothing between threads.
        let space = UnsafeMutableRawBufferPointer.allocate(byteCount: 65_536, alignment: 16)
        space.initializeMemory(as: UInt8.self, repeating: 0)
        defer {
            // It holds traces of the password.
            space.initializeMemory(as: UInt8.self, repeating: 0)
            space.deallocate()
        }
        guard let output = crypt_rn(phrase, setting, space.baseAddress, Int32(space.count)) else { throw .unavailable }
        let computed = Array(String(cString: output).utf8)
        return computed.count >= hash.count && isEqualInConstantTime(computed.suffix(hash.count), hash)
    }
}
