import AuthCore
import Testing

@Suite("RFC 8705 §2.1.2: the subject that a client registered")
struct CertificateSubjectTests {
    static let now = Instant(seconds: 1_800_000_000)

    private func certificate(_ change: (inout CertificateBuilder) -> Void) -> ClientCertificate? {
        var builder = CertificateBuilder()
        change(&builder)
        // Nothing stands for every refusal; the rows say which they expect.
        return try? ClientCertificate(der: builder.der, isVerified: true)
    }

    /// The subject in DER, the same in text, and what it is not.
    static let names: [(der: [UInt8], same: [String], others: [String])] = [
        (
            DER.name([[("2.5.4.6", DER.text(0x13, "DE"))], [("2.5.4.10", DER.text(0x0C, "Example"))], [("2.5.4.3", DER.text(0x0C, "a"))]]),
            [
                "CN=a,O=Example,C=DE", "cn=a,o=Example,c=DE", "2.5.4.3=a,2.5.4.10=Example,C=DE", "CN=a, O=Example, C=DE",
                "CN = a , O = Example , C = DE", #"CN=\61,O=Example,C=DE"#, "CN=#0C0161,O=Example,C=DE", "CN=#130161,O=Example,C=DE",
            ],
            [
                "C=DE,O=Example,CN=a", "CN=A,O=Example,C=DE", "CN=a,O=Example", "O=Example,C=DE", "CN=a,O=Example,C=DE,C=DE",
                "CN=a+O=Example,C=DE",
                "OU=a,O=Example,C=DE", #"CN=a\ ,O=Example,C=DE"#, #"CN=\ a,O=Example,C=DE"#, "CN=a,O=Example,C=D",
            ]
        ),
        (
            // Two of a type, and a part of two attributes, whatever their order.
            DER.name([[("2.5.4.11", DER.text(0x0C, "x"))], [("2.5.4.3", DER.text(0x0C, "b")), ("2.5.4.3", DER.text(0x0C, "a"))]]),
            ["CN=a+CN=b,OU=x", "CN=b+CN=a,OU=x"], ["CN=a,CN=b,OU=x", "CN=a+CN=a,OU=x", "CN=a,OU=x", "CN=ab,OU=x", "OU=x,CN=a+CN=b"]
        ),
        (
            DER.name([[("2.5.4.10", DER.text(0x0C, #" A,B+C"D\E<F>;=# "#))]]),
            [#"O=\ A\,B\+C\"D\\E\<F\>\;=#\ "#, #"O=\20A\2cB\2BC\22D\5CE\3CF\3E\3B\3D\23\20"#],
            [#"O=A\,B\+C\"D\\E\<F\>\;=#"#]
        ),
        // One text in each type that may hold it.
        (
            DER.name([[("2.5.4.3", DER.node(0x1E, [0, 0x7A, 0, 0xFC]))]]), ["CN=zü", #"CN=z\C3\BC"#, "CN=#0C037AC3BC"],
            ["CN=zu\u{308}", "CN=zu"]
        ),
        (DER.name([[("2.5.4.3", DER.node(0x1C, [0, 0, 0, 0x7A, 0, 1, 0xF6, 0]))]]), ["CN=z😀"], ["CN=z"]),
        (DER.name([[("2.5.4.3", DER.text(0x0C, "zü"))]]), ["CN=zü"], ["CN=zu\u{308}"]),
        (DER.name([[("2.5.4.3", DER.text(0x0C, "K"))]]), ["CN=K"], ["CN=\u{212A}"]),
        (
            DER.name([[("0.9.2342.19200300.100.1.25", DER.text(0x16, "example"))]]), ["DC=example", "0.9.2342.19200300.100.1.25=example"],
            ["DC=Example"]
        ),
        (DER.name([[("1.2.840.113549.1.9.1", DER.text(0x16, "a@b.c"))]]), ["emailAddress=a@b.c"], ["CN=a@b.c"]),
        // A value that is no text is compared as it stands.
        (DER.name([[("2.5.4.45", DER.node(0x03, [0, 1]))]]), ["2.5.4.45=#03020001"], ["2.5.4.45=#03020002", "2.5.4.45=#0400"]),
    ]

    @Test("a name in text is the certificate's when its parts are, in order, in any type of string", arguments: names)
    func distinguishedName(_ row: (der: [UInt8], same: [String], others: [String])) throws {
        let found = try #require(certificate { $0.subject = row.der })
        for text in row.same {
            let expected = try #require(CertificateSubject(subjectDN: text), "\(text)")
            #expect(found.proves(expected, at: Self.now), "\(text)")
        }
        for text in row.others {
            let expected = try #require(CertificateSubject(subjectDN: text), "\(text)")
            #expect(!found.proves(expected, at: Self.now), "\(text)")
        }
    }

    @Test(
        "what is no name of RFC 4514 is refused",
        arguments: [
            "", ",", "a", "=", "=a", "CN", "CN=", "CN= ", "CN=a,", ",CN=a", "CN=a,,O=b", "CN=a+", "CN=a;O=b", "CN=\"a\"", "CN=a\"",
            "CN=a<b", "CN=a>b",
            "CN=a\\", "CN=a\\g", "CN=a\\2", "CN=a\\2g", "CN=a\\00", "CN=a\u{0}", "CN=a\n", "CN=\\FF", "NO=a", "1=a", "3.1=a", "1.40=a",
            "1.2.=a", "1..2=a",
            "01.2=a", "1.02=a", "2.5.4.3.9999999999999999999=a", "CN=#", "CN=#0", "CN=#0C", "CN=#0C02", "CN=#0C0100", "CN=#0C016161",
            "CN=#zz", "CN=#0C0161 b",
        ])
    func badNames(_ text: String) { #expect(CertificateSubject(subjectDN: text) == nil) }

    @Test("a name has at most 4 096 bytes, 64 parts and 64 attributes in one")
    func limits() {
        func name(_ count: Int, _ separator: String) -> String { [String](repeating: "CN=a", count: count).joined(separator: separator) }
        #expect(CertificateSubject(subjectDN: name(64, ",")) != nil)
        #expect(CertificateSubject(subjectDN: name(65, ",")) == nil)
        #expect(CertificateSubject(subjectDN: name(64, "+")) != nil)
        #expect(CertificateSubject(subjectDN: name(65, "+")) == nil)
        #expect(CertificateSubject(subjectDN: "CN=" + String(repeating: "a", count: 4_093)) != nil)
        #expect(CertificateSubject(subjectDN: "CN=" + String(repeating: "a", count: 4_094)) == nil)
    }

    @Test("an alternative name is the whole of its own kind; the first of two counts as the second does")
    func alternativeNames() throws {
        let found = try #require(
            certificate {
                $0.extensions = [
                    CertificateBuilder.alternativeNames(
                        DER.text(0x82, "A.Example.com"), DER.text(0x82, "*.example.org"), DER.text(0x86, "https://Example.com/A"),
                        DER.node(0x87, [192, 0, 2, 7]), DER.node(0x87, [UInt8](repeating: 0, count: 10) + [0xFF, 0xFF, 192, 0, 2, 8]),
                        DER.text(0x81, "Ops@Example.com"), DER.node(0xA0, DER.objectIdentifier("1.3.6.1")), DER.text(0x82, "a.example.com"))
                ]
            })
        let same: [CertificateSubject?] = [
            .init(sanDNS: "a.example.COM"), .init(sanDNS: "*.example.org"), .init(sanURI: "https://Example.com/A"),
            .init(sanIP: "192.0.2.7"),
            .init(sanIP: "::ffff:192.0.2.8"), .init(sanIP: "::ffff:c000:208"), .init(sanEmail: "Ops@EXAMPLE.com"),
        ]
        for expected in same { #expect(found.proves(try #require(expected), at: Self.now), "\(expected as Any)") }
        let others: [CertificateSubject?] = [
            .init(sanDNS: "example.com"), .init(sanDNS: "b.example.org"), .init(sanDNS: "a.example.com."),
            .init(sanURI: "https://example.com/A"),
            .init(sanURI: "https://Example.com/A/"), .init(sanURI: "A.Example.com"), .init(sanDNS: "192.0.2.7"),
            .init(sanIP: "::ffff:192.0.2.7"),
            .init(sanIP: "192.0.2.8"), .init(sanEmail: "ops@example.com"), .init(sanDNS: "Ops@Example.com"),
            .init(subjectDN: "CN=a.example.com"),
        ]
        for expected in others { #expect(!found.proves(try #require(expected), at: Self.now), "\(expected as Any)") }
        for text in ["", "a b", "a\0.example.com", "ü.example.com", "a\n"] {
            #expect(
                CertificateSubject(sanDNS: text) == nil && CertificateSubject(sanURI: text) == nil
                    && CertificateSubject(sanEmail: text) == nil)
        }
        for text in ["", "1", "192.0.2.07", "192.0.2.0/24", "[::1]", "::1%lo", "::1\0"] {
            #expect(CertificateSubject(sanIP: text) == nil, "\(text)")
        }
    }

    @Test("nothing is proved unverified, before the first second or after the last")
    func proves() throws {
        let expected = try #require(CertificateSubject(subjectDN: "CN=client"))
        let found = try #require(certificate { _ in })
        #expect(found.notBefore == Instant(seconds: 1_767_225_600) && found.notAfter == Instant(seconds: 2_524_608_000))
        #expect(found.proves(expected, at: found.notBefore))
        #expect(found.proves(expected, at: Instant(milliseconds: found.notAfter.milliseconds + 999)))
        #expect(!found.proves(expected, at: Instant(milliseconds: found.notBefore.milliseconds - 1)))
        #expect(!found.proves(expected, at: Instant(seconds: found.notAfter.seconds + 1)))
        #expect(!found.verified(false).proves(expected, at: Self.now))
    }

    @Test("a certificate that two readers could understand differently is malformed")
    func ambiguous() {
        let name = DER.text(0x82, "a.example")
        let rows: [(String, (inout CertificateBuilder) -> Void)] = [
            (
                "an extension twice",
                { $0.extensions = [CertificateBuilder.alternativeNames(name), CertificateBuilder.alternativeNames(name)] }
            ),
            ("a NUL in a DNS name", { $0.extensions = [CertificateBuilder.alternativeNames(DER.text(0x82, "a.example\0.b"))] }),
            ("a NUL in a URI", { $0.extensions = [CertificateBuilder.alternativeNames(DER.text(0x86, "a:\0"))] }),
            ("a NUL in an address", { $0.extensions = [CertificateBuilder.alternativeNames(DER.text(0x81, "a@b\0"))] }),
            ("an empty DNS name", { $0.extensions = [CertificateBuilder.alternativeNames(DER.text(0x82, ""))] }),
            ("an IP address of five bytes", { $0.extensions = [CertificateBuilder.alternativeNames(DER.node(0x87, [1, 2, 3, 4, 5]))] }),
            ("a DNS name in parts", { $0.extensions = [CertificateBuilder.alternativeNames(DER.node(0xA2, name))] }),
            ("no name at all", { $0.extensions = [CertificateBuilder.alternativeNames()] }),
            ("129 names", { $0.extensions = [CertificateBuilder.alternativeNames([UInt8]((0..<129).map { _ in name }.joined()))] }),
            ("a NUL in the subject", { $0.subject = DER.name([[("2.5.4.3", DER.text(0x0C, "client\0.evil"))]]) }),
            ("a NUL in two bytes", { $0.subject = DER.name([[("2.5.4.3", DER.node(0x1E, [0, 0x61, 0, 0]))]]) }),
            ("half a character", { $0.subject = DER.name([[("2.5.4.3", DER.node(0x1E, [0, 0x61, 0]))]]) }),
            ("a surrogate", { $0.subject = DER.name([[("2.5.4.3", DER.node(0x1E, [0xD8, 0x3D, 0xDE, 0]))]]) }),
            ("UTF-8 that is none", { $0.subject = DER.name([[("2.5.4.3", DER.node(0x0C, [0xFF]))]]) }),
            ("overlong UTF-8", { $0.subject = DER.name([[("2.5.4.3", DER.node(0x0C, [0xC1, 0xA1]))]]) }),
            ("a PrintableString that is not ASCII", { $0.subject = DER.name([[("2.5.4.3", DER.node(0x13, [0xE4]))]]) }),
            ("a TeletexString that is not ASCII", { $0.subject = DER.name([[("2.5.4.3", DER.node(0x14, [0xE4]))]]) }),
            ("a part without attributes", { $0.subject = DER.node(0x30, DER.node(0x31, [])) }),
            ("a thirteenth month", { $0.notAfter = DER.text(0x17, "261301000000Z") }),
            ("a 30th of February", { $0.notAfter = DER.text(0x17, "280230000000Z") }),
            ("a time without seconds", { $0.notAfter = DER.text(0x17, "2601010000Z") }),
            ("a time elsewhere", { $0.notAfter = DER.text(0x17, "260101000000+0100") }),
            ("a year of three digits", { $0.notAfter = DER.text(0x18, "0260101000000Z") }),
        ]
        #expect(certificate { _ in } != nil)
        #expect(certificate { $0.notAfter = DER.text(0x17, "280229235959Z") } != nil)
        for (name, change) in rows { #expect(certificate(change) == nil, "\(name)") }
    }

    @Test("two digits of a year are 1950 to 2049; four reach from 0000 to 9999")
    func years() throws {
        for (time, seconds) in [
            (DER.text(0x17, "491231235959Z"), 2_524_607_999), (DER.text(0x17, "500101000000Z"), -631_152_000),
            (DER.text(0x18, "99991231235959Z"), 253_402_300_799), (DER.text(0x18, "00000101000000Z"), -62_167_219_200),
            (DER.text(0x18, "20000229120000Z"), 951_825_600), (DER.text(0x17, "700101000000Z"), 0),
        ] as [([UInt8], Int64)] {
            #expect(certificate { $0.notAfter = time }?.notAfter == Instant(seconds: seconds))
        }
    }

    @Test("no bytes trap the readers, and what is read of changed ones is bounded")
    func fuzz() {
        var seeded = Seeded(8_705)
        var builder = CertificateBuilder()
        builder.extensions = [
            CertificateBuilder.alternativeNames(
                DER.text(0x82, "a.example"), DER.text(0x86, "urn:a"), DER.node(0x87, [1, 2, 3, 4]), DER.text(0x81, "a@b"))
        ]
        let whole = builder.der
        var taken = 0
        for _ in 0..<20_000 {
            let bytes = seeded.mutated(
                whole, alphabet: [0x00, 0x02, 0x03, 0x06, 0x0C, 0x17, 0x30, 0x31, 0x80, 0x82, 0x84, 0xA0, 0xA3, 0xFF])
            guard let found = try? ClientCertificate(der: bytes, isVerified: true) else { continue }  // most are none any more
            taken += 1
            #expect(found.der == bytes && found.alternativeNames.count <= 128 && found.subject.parts.count <= 64)
        }
        // Changes in key, signature and serial number leave it readable.
        #expect(taken > 100)
        let text = Array(#"CN=a\,b+OU=\C3\BC,O=#0C0161, 2.5.4.3 = x y"#.utf8)
        for _ in 0..<20_000 {
            let bytes = seeded.mutated(text, alphabet: Array(#"\,+=#; "0aC.<"#.utf8))
            guard let name = DistinguishedName(rfc4514: String(decoding: bytes, as: UTF8.self)) else { continue }
            #expect(name == name && !name.parts.contains { $0.isEmpty })
        }
    }
}
