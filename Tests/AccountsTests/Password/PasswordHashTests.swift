import AuthCore
import CArgon2
import Testing

@testable import Accounts

private let right = Password(Secret("correct-horse-battery"))
private let wrong = Password(Secret("correct-horse-batterz"))

private func matches(_ text: String, _ password: Password) throws -> Bool {
    try PasswordHash(parsing: Secret(text)).matches(password.normal.exposed)
}

private func error(_ text: String) -> PasswordHashError? {
    do throws(PasswordHashError) {
        _ = try PasswordHash(parsing: Secret(text))
        return nil
    } catch { return error }
}

@Suite("Password hashes: formats (PW-13)")
struct PasswordHashTests {
    /// Made by argon2-cffi 23, passlib 1.7.4 and libxcrypt 4.4.33, all of `correct-horse-battery`.
    static let known: [(format: String, text: String)] = [
        ("argon2id", "$argon2id$v=19$m=1024,t=2,p=1$X68r6UZUNxj6D7RTh2D9uQ$nxzUAJz6EkBk7tIIDMIDXliY731IDVeSX/dXB0oYEA8"),
        ("argon2i", "$argon2i$v=19$m=256,t=2,p=1$vLxLdvzh52M2sTdvWYTG6A$akgDoSnazBHfUBpBkIBTKv09FrBMvhXNqzOmDn8LXHU"),
        ("argon2d", "$argon2d$v=19$m=256,t=2,p=1$ZbRUd7H1DWW2X+19wBBfog$e2LLBuJU3yx20dMGvFgKzbXUy8JgePQvfFP2K6fBvHo"),
        ("argon2id", "$argon2id$v=19$m=512,t=3,p=4$uuAU9Ew4AwccedMw$QnkhEeeZkFReKzY5dBFYxvkrJ3XcPPWi"),
        ("argon2id", "$argon2id$v=16$m=64,t=2,p=1$c2FsdHNhbHRzYWx0c2FsdA$kJbXEw1vPETrOH+EJJnkME3EskwEziE3oohXmjllJZ4"),
        ("argon2id", "$argon2id$m=64,t=2,p=1$c2FsdHNhbHRzYWx0c2FsdA$kJbXEw1vPETrOH+EJJnkME3EskwEziE3oohXmjllJZ4"),
        ("bcrypt", "$2a$04$vo./KSKG2brwv/H.0CYH6ep5BwQCGtZfrZHNW7z/K5.FH7abu/FfC"),
        ("bcrypt", "$2b$04$.BJTXqBhWKQVzrscXoxog.NEuEqOP9bqMvA3hNc4zK3SPJm2PdS3."),
        ("bcrypt", "$2y$04$TAE2ofRMyvctoXCUuuD5G.33dw8J9IfeI2doWq0I2kIX1G0.c0dWa"),
        ("pbkdf2-sha256", "$pbkdf2-sha256$1000$DaH03juH8P6/N8bYWwuBUA$eG3kH3eBAISi1e2N1W8hFJLPqCzGTgA8BOTGHiWi9a8"),
        (
            "pbkdf2-sha512",
            "$pbkdf2-sha512$1000$qHUOAeC8t/aecy7lHON8zw"
                + "$jd/zQv5lug7OmyqooCkWbKYIR3XP2JsUv.dE42bvWRiAwJgjJvmEqVSMr89s6p7LUhFQ8cyp8u5zkbohmtTiJw"
        ),
        ("pbkdf2-sha256", "pbkdf2_sha256$1000$EQ6i2j7OWyqU$EkkPF4LNiePe267sFF3Ob8HjwUJsejdJDtq+lS/ij+U="),
        ("scrypt", "$scrypt$ln=4,r=8,p=1$KMW4N8bY29v7fy/l/H+PUQ$Mg2hFvRKYjFLjflRdgZM2pbEMMUYH1MZQY0EHwGFhPs"),
        ("scrypt", "$7$BU..../....k2XAnEHBqQ1Ct2aMXFKNa/$QeagIx2Nj.w3llxcP3K6eztbK1cW8LamdfEuEU3/3q8"),
        ("sha512crypt", "$6$C9AUwccTfjZvRZiQ$r/jdJyvdJTx0dufV5mPpL6qcOEcSkse9kOipjHpeeiBuz6fb49l85ysACWbNykwVXKGGasZeUhLr/hmAKyCHH/"),
        (
            "sha512crypt",
            "$6$rounds=1000$5AL6n6/Y5304/RsW"
                + "$CymWOf78OwTIeoo3.J8Y2y3xG7F4ps41oKcgZeNSdJumWPICLZab9Oe4J8ZOmGQ7PVRHy6ptgIYjjz..WiPpw/"
        ),
        ("yescrypt", "$y$j75$k2XAnEHBqQ1Ct2aMXFKNa/$rSQNpOE6m0iib5Z0fuLWeQ9XZ7zkzLaPUkCCeI6Jmy8"),
    ]

    @Test("a known hash of each format takes its password and no other", arguments: known)
    func takesItsPassword(row: (format: String, text: String)) throws {
        let hash = try PasswordHash(parsing: Secret(row.text))
        #expect(hash.format == row.format)
        #expect(try hash.matches(right.normal.exposed))
        #expect(try !hash.matches(wrong.normal.exposed))
        #expect(try !hash.matches([]))
        // crypt(3) stops at a NUL, and HMAC pads its key with NULs: neither may make another password right.
        #expect(try !hash.matches(right.normal.exposed + [0]))
        #expect(try !hash.matches(right.normal.exposed + [0x78]))
    }

    @Test("one changed character of the hash is another hash", arguments: known)
    func changed(row: (format: String, text: String)) throws {
        var text = Array(row.text.utf8)
        let place = text.count - 6
        text[place] = text[place] == UInt8(ascii: "A") ? UInt8(ascii: "B") : UInt8(ascii: "A")
        #expect(try !matches(String(decoding: text, as: UTF8.self), right))
    }

    @Test("the vector of RFC 9106 §5.3 holds for the library, secret and associated data included")
    func rfc9106() {
        var password = [UInt8](repeating: 1, count: 32)
        var salt = [UInt8](repeating: 2, count: 16)
        var secret = [UInt8](repeating: 3, count: 8)
        var data = [UInt8](repeating: 4, count: 12)
        var output = [UInt8](repeating: 0, count: 32)
        let status = output.withUnsafeMutableBufferPointer { output in
            password.withUnsafeMutableBufferPointer { password in
                salt.withUnsafeMutableBufferPointer { salt in
                    secret.withUnsafeMutableBufferPointer { secret in
                        data.withUnsafeMutableBufferPointer { data in
                            var context = argon2_context()
                            (context.out, context.outlen) = (output.baseAddress, 32)
                            (context.pwd, context.pwdlen) = (password.baseAddress, 32)
                            (context.salt, context.saltlen) = (salt.baseAddress, 16)
                            (context.secret, context.secretlen) = (secret.baseAddress, 8)
                            (context.ad, context.adlen) = (data.baseAddress, 12)
                            (context.t_cost, context.m_cost, context.lanes, context.threads) = (3, 32, 4, 1)
                            context.version = 0x13
                            return argon2_ctx(&context, Argon2_id)
                        }
                    }
                }
            }
        }
        #expect(status == ARGON2_OK.rawValue)
        #expect(hexadecimal(output) == "0d640df58d78766c08c037a34a8b53c9d01ef0452d75b65eb52520e96b01e659")
    }

    @Test("bcrypt looks at 72 bytes, so a longer password is refused rather than cut (PW-07)")
    func bcryptGuard() throws {
        let text = "$2b$04$CmlBHhE4pIgdeuhkHIyrX.JMAxxCSOBAB.AMfcqWbnl5fOgPKUlUm"
        let long = String(repeating: "a", count: 72)
        #expect(try matches(text, Password(Secret(long))))
        #expect(try !matches(text, Password(Secret(long + "a"))))
    }

    @Test("our own format is written as it is read")
    func format() throws {
        for row in PasswordHashTests.known.prefix(4) {
            let hash = try PasswordHash(parsing: Secret(row.text))
            guard case .argon2(let argon2) = hash.scheme else {
                Issue.record("\(row.text) is Argon2")
                continue
            }
            #expect(argon2.text.isSameBytes(as: row.text))
        }
    }

    static let refused: [(text: String, error: PasswordHashError)] = [
        ("", .malformed), ("$", .malformed), ("$$", .unsupported), ("plain", .unsupported), ("$1$salt$hash", .unsupported),
        ("{SSHA}abc", .unsupported), ("$argon2x$v=19$m=64,t=1,p=1$c2FsdHNhbHQ$aaaa", .unsupported),
        ("$2x$04$TAE2ofRMyvctoXCUuuD5G.33dw8J9IfeI2doWq0I2kIX1G0.c0dWa", .unsupported),
        ("$argon2id$v=18$m=64,t=2,p=1$c2FsdHNhbHRzYWx0c2FsdA$kJbXEw1vPETrOH+EJJnkME3EskwEziE3oohXmjllJZ4", .malformed),
        ("$argon2id$v=19$t=2,m=64,p=1$c2FsdHNhbHRzYWx0c2FsdA$kJbXEw1vPETrOH+EJJnkME3EskwEziE3oohXmjllJZ4", .malformed),
        ("$argon2id$v=19$m=064,t=2,p=1$c2FsdHNhbHRzYWx0c2FsdA$kJbXEw1vPETrOH+EJJnkME3EskwEziE3oohXmjllJZ4", .malformed),
        ("$argon2id$v=19$m=+64,t=2,p=1$c2FsdHNhbHRzYWx0c2FsdA$kJbXEw1vPETrOH+EJJnkME3EskwEziE3oohXmjllJZ4", .malformed),
        ("$argon2id$v=19$m=64,t=0,p=1$c2FsdHNhbHRzYWx0c2FsdA$kJbXEw1vPETrOH+EJJnkME3EskwEziE3oohXmjllJZ4", .malformed),
        ("$argon2id$v=19$m=16,t=2,p=4$c2FsdHNhbHRzYWx0c2FsdA$kJbXEw1vPETrOH+EJJnkME3EskwEziE3oohXmjllJZ4", .malformed),
        ("$argon2id$v=19$m=64,t=2,p=1,keyid=AA$c2FsdHNhbHRzYWx0c2FsdA$kJbXEw1vPETrOH+EJJnkME3EskwEziE3oohXmjllJZ4", .malformed),
        ("$argon2id$v=19$m=64,t=2,p=1$c2Fsd$kJbXEw1vPETrOH+EJJnkME3EskwEziE3oohXmjllJZ4", .malformed),
        ("$argon2id$v=19$m=64,t=2,p=1$c2FsdHNhbHRzYWx0c2FsdA$kJbX", .malformed),
        ("$argon2id$v=19$m=64,t=2,p=1$c2FsdHNhbHRzYWx0c2FsdA==$kJbXEw1vPETrOH+EJJnkME3EskwEziE3oohXmjllJZ4", .malformed),
        ("$argon2id$v=19$m=64,t=2,p=1$c2FsdHNhbHRzYWx0c2FsdA$kJbXEw1vPETrOH-EJJnkME3EskwEziE3oohXmjllJZ4", .malformed),
        ("$argon2id$v=19$m=64,t=2,p=1$c2FsdHNhbHRzYWx0c2FsdA$kJbXEw1vPETrOH+EJJnkME3EskwEziE3oohXmjllJZ4$", .malformed),
        ("$argon2id$v=19$m=64,t=2,p=1$c2FsdHNhbHRzYWx0c2FsdA$kJbXEw1vPETrOH+EJJnkME3EskwEziE3oohXmjllJZ4\n", .malformed),
        ("$argon2id$v=19$m=1048577,t=1,p=1$c2FsdHNhbHRzYWx0c2FsdA$kJbXEw1vPETrOH+EJJnkME3EskwEziE3oohXmjllJZ4", .tooCostly),
        ("$argon2id$v=19$m=999999999999,t=1,p=1$c2FsdHNhbHRzYWx0c2FsdA$kJbXEw1vPETrOH+EJJnkME3EskwEziE3oohXmjllJZ4", .tooCostly),
        ("$argon2id$v=19$m=9999999999999,t=1,p=1$c2FsdHNhbHRzYWx0c2FsdA$kJbXEw1vPETrOH+EJJnkME3EskwEziE3oohXmjllJZ4", .malformed),
        ("$argon2id$v=19$m=64,t=65,p=1$c2FsdHNhbHRzYWx0c2FsdA$kJbXEw1vPETrOH+EJJnkME3EskwEziE3oohXmjllJZ4", .tooCostly),
        ("$argon2id$v=19$m=1048576,t=5,p=1$c2FsdHNhbHRzYWx0c2FsdA$kJbXEw1vPETrOH+EJJnkME3EskwEziE3oohXmjllJZ4", .tooCostly),
        ("$argon2id$v=19$m=1024,t=2,p=17$c2FsdHNhbHRzYWx0c2FsdA$kJbXEw1vPETrOH+EJJnkME3EskwEziE3oohXmjllJZ4", .tooCostly),
        ("$2b$17$.BJTXqBhWKQVzrscXoxog.NEuEqOP9bqMvA3hNc4zK3SPJm2PdS3.", .tooCostly),
        ("$2b$31$.BJTXqBhWKQVzrscXoxog.NEuEqOP9bqMvA3hNc4zK3SPJm2PdS3.", .tooCostly),
        ("$2b$03$.BJTXqBhWKQVzrscXoxog.NEuEqOP9bqMvA3hNc4zK3SPJm2PdS3.", .malformed),
        ("$2b$4$.BJTXqBhWKQVzrscXoxog.NEuEqOP9bqMvA3hNc4zK3SPJm2PdS3.", .malformed),
        ("$2b$04$.BJTXqBhWKQVzrscXoxog.NEuEqOP9bqMvA3hNc4zK3SPJm2PdS3", .malformed),
        ("$2b$04$.BJTXqBhWKQVzrscXoxog.NEuEqOP9bqMvA3hNc4zK3SPJm2PdS3!", .malformed),
        ("$pbkdf2-sha256$5000001$DaH03juH8P6/N8bYWwuBUA$eG3kH3eBAISi1e2N1W8hFJLPqCzGTgA8BOTGHiWi9a8", .tooCostly),
        ("$pbkdf2-sha256$0$DaH03juH8P6/N8bYWwuBUA$eG3kH3eBAISi1e2N1W8hFJLPqCzGTgA8BOTGHiWi9a8", .malformed),
        ("$pbkdf2-sha256$1000$$eG3kH3eBAISi1e2N1W8hFJLPqCzGTgA8BOTGHiWi9a8", .malformed),
        ("$pbkdf2-sha256$1000$DaH03juH8P6/N8bYWwuBUA$eG3kH3eB", .malformed),
        ("pbkdf2_sha256$1000$EQ6i2j7OWyqU$EkkPF4LNiePe267sFF3Ob8HjwUJsejdJDtq+lS/ij+U", .malformed),
        ("pbkdf2_sha1$1000$EQ6i2j7OWyqU$EkkPF4LNiePe267sFF3Ob8HjwUJsejdJDtq+lS/ij+U=", .unsupported),
        ("$scrypt$ln=24,r=8,p=1$KMW4N8bY29v7fy/l/H+PUQ$Mg2hFvRKYjFLjflRdgZM2pbEMMUYH1MZQY0EHwGFhPs", .tooCostly),
        ("$scrypt$ln=21,r=8,p=1$KMW4N8bY29v7fy/l/H+PUQ$Mg2hFvRKYjFLjflRdgZM2pbEMMUYH1MZQY0EHwGFhPs", .tooCostly),
        ("$scrypt$ln=16,r=1,p=1$KMW4N8bY29v7fy/l/H+PUQ$Mg2hFvRKYjFLjflRdgZM2pbEMMUYH1MZQY0EHwGFhPs", .malformed),
        ("$7$zU..../....k2XAnEHBqQ1Ct2aMXFKNa/$QeagIx2Nj.w3llxcP3K6eztbK1cW8LamdfEuEU3/3q8", .tooCostly),
        ("$7$BUzzzz/....k2XAnEHBqQ1Ct2aMXFKNa/$QeagIx2Nj.w3llxcP3K6eztbK1cW8LamdfEuEU3/3q8", .tooCostly),
        ("$7$BU..../", .malformed),
        ("$6$rounds=2000001$5AL6n6/Y5304/RsW$" + String(repeating: "a", count: 86), .tooCostly),
        ("$6$rounds=999$5AL6n6/Y5304/RsW$" + String(repeating: "a", count: 86), .malformed),
        ("$6$5AL6n6/Y5304/RsW$" + String(repeating: "a", count: 85), .malformed),
        ("$6$$" + String(repeating: "a", count: 86), .malformed),
        ("$y$jhh$k2XAnEHBqQ1Ct2aMXFKNa/$rSQNpOE6m0iib5Z0fuLWeQ9XZ7zkzLaPUkCCeI6Jmy8", .tooCostly),
        ("$y$k75$k2XAnEHBqQ1Ct2aMXFKNa/$rSQNpOE6m0iib5Z0fuLWeQ9XZ7zkzLaPUkCCeI6Jmy8", .malformed),
        ("$y$j75/.$k2XAnEHBqQ1Ct2aMXFKNa/$rSQNpOE6m0iib5Z0fuLWeQ9XZ7zkzLaPUkCCeI6Jmy8", .malformed),
        (String(repeating: "$", count: 513), .malformed),
    ]

    @Test("what is not exactly a hash, or would cost too much, is refused before anything is computed", arguments: refused)
    func refuses(row: (text: String, error: PasswordHashError)) {
        #expect(error(row.text) == row.error)
    }

    @Test("a hash cut or changed anywhere never traps", arguments: known)
    func mutilated(row: (format: String, text: String)) {
        let bytes = Array(row.text.utf8)
        var refused = 0
        for place in bytes.indices {
            for text in [
                Array(bytes[..<place]), Array(bytes[..<place] + [0x24] + bytes[(place + 1)...]),
                Array(bytes[..<place] + [0x39] + bytes[place...]),
            ] where error(String(decoding: text, as: UTF8.self)) != nil { refused += 1 }
        }
        // Every cut is refused, and more besides.
        #expect(refused >= bytes.count)
    }

    @Test("Wycheproof's PBKDF2-HMAC-SHA256 vectors hold")
    func wycheproof() throws {
        let vectors = try PBKDF2Vector.all()
        #expect(vectors.count == 60)
        for vector in vectors {
            let key = try PBKDF2Hash.derive(.sha256, vector.password, salt: vector.salt, rounds: vector.rounds, count: vector.key.count)
            #expect(key == vector.key, "tcId \(vector.id)")
        }
    }

    @Test("a hash is weaker with another variant or version, less salt, less memory or less work (PW-08)")
    func upgrade() throws {
        func needed(_ text: String, _ memoryKiB: Int, _ iterations: Int) throws -> Bool {
            let wanted = try #require(Argon2Parameters(memoryKiB: memoryKiB, iterations: iterations, parallelism: 1))
            return try PasswordHash(parsing: Secret(text)).needsUpgrade(to: wanted)
        }
        let own = PasswordHashTests.known[0].text
        #expect(try !needed(own, 1_024, 2))
        #expect(try !needed(own, 512, 4))
        #expect(try needed(own, 1_025, 1))
        #expect(try needed(own, 1_024, 3))
        for row in PasswordHashTests.known.dropFirst() { #expect(try needed(row.text, 64, 1), "\(row.text)") }
    }

    @Test("the recommended parameters are OWASP's (PW-07)")
    func recommended() throws {
        let rows = [
            (19_456, 2, true), (19_455, 2, false), (47_104, 1, true), (47_103, 1, false), (12_288, 3, true), (7_168, 5, true),
            (7_167, 64, false),
        ]
        for (memoryKiB, iterations, expected) in rows {
            let parameters = try #require(Argon2Parameters(memoryKiB: memoryKiB, iterations: iterations, parallelism: 1))
            #expect(parameters.isRecommended == expected, "\(parameters)")
        }
        #expect(Argon2Parameters.standard == Argon2Parameters(memoryKiB: 19_456, iterations: 2, parallelism: 1))
    }
}
