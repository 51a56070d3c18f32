internal import Synchronization

#if canImport(Glibc)
internal import Glibc
#else
internal import Darwin
#endif

/// Self-signed P-256 certificates for `localhost` and 127.0.0.1, good until 2126, made for these tests alone.
package enum TestCertificates {
    package static let oneCertificate = """
        -----BEGIN CERTIFICATE-----
        MIIBmTCCAT+gAwIBAgIUMMVRJrmfqDXOh+H5KF7VXv3yh9EwCgYIKoZIzj0EAwIw
        EzERMA8GA1UEAwwIb25lLnRlc3QwIBcNMjYxMTIxMDUzNjIyWhgPMjEyNjEwMjgw
        NTM2MjJaMBMxETAPBgNVBAMMCG9uZS50ZXN0MFkwEwYHKoZIzj0CAQYIKoZIzj0D
        AQcDQgAERxqNvDUbmJ5Lkl2J4+oipU7RDwJOdUwUCW5rkzebqDbI9emCEYp5PfKD
        +TCK8fqrtwPRlLcX4wBgZgGKceUUVKNvMG0wHQYDVR0OBBYEFNh98PJjF/cE5Xgj
        YYmO4DhidW0iMB8GA1UdIwQYMBaAFNh98PJjF/cE5XgjYYmO4DhidW0iMA8GA1Ud
        EwEB/wQFMAMBAf8wGgYDVR0RBBMwEYIJbG9jYWxob3N0hwR/AAABMAoGCCqGSM49
        BAMCA0gAMEUCIQDAcIKtP86+X0pCjtCVVb797JxWh6r0+kbKULmHLSqoqAIgJb0h
        D4YGa30dPsVd1cyRC85q1RNwxWjTGQScwAjz1ZQ=
        -----END CERTIFICATE-----
        """

    package static let oneKey = """
        -----BEGIN PRIVATE KEY-----
        MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgqHAYrp6PolQK7BC9
        cwSgsg3wdZe/VgvAftLkM3lO6XGhRANCAARHGo28NRuYnkuSXYnj6iKlTtEPAk51
        TBQJbmuTN5uoNsj16YIRink98oP5MIrx+qu3A9GUtxfjAGBmAYpx5RRU
        -----END PRIVATE KEY-----
        """

    package static let twoCertificate = """
        -----BEGIN CERTIFICATE-----
        MIIBmDCCAT+gAwIBAgIURavtaJSfzur/iPQ9KJcYiQedv+MwCgYIKoZIzj0EAwIw
        EzERMA8GA1UEAwwIdHdvLnRlc3QwIBcNMjYxMTIxMDUzNjIzWhgPMjEyNjEwMjgw
        NTM2MjNaMBMxETAPBgNVBAMMCHR3by50ZXN0MFkwEwYHKoZIzj0CAQYIKoZIzj0D
        AQcDQgAEudvEViRIes0BQ9JtNUf9IBjnNk0QLsyHdRWGh+Y5gViY9WkTsP+6YmGu
        J5lZeOw+U8w6Q0j8oMJGcjaIXRwEOKNvMG0wHQYDVR0OBBYEFKbUbiMwie1cEoSM
        tW7pX1HDaYj4MB8GA1UdIwQYMBaAFKbUbiMwie1cEoSMtW7pX1HDaYj4MA8GA1Ud
        EwEB/wQFMAMBAf8wGgYDVR0RBBMwEYIJbG9jYWxob3N0hwR/AAABMAoGCCqGSM49
        BAMCA0cAMEQCIDFL4SmRy/Uw/zIRspRfG2RM6i0tK65fLfxFT+ICT8HoAiBfUVue
        sG7iBV0p7i6VRY3jpMfvGViBYcjXl+wtRM5sbA==
        -----END CERTIFICATE-----
        """

    package static let twoKey = """
        -----BEGIN PRIVATE KEY-----
        MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgmoyrD/afDN4uu2R1
        flrKazsBCHuMflm5Lo4zNnZvkEShRANCAAS528RWJEh6zQFD0m01R/0gGOc2TRAu
        zId1FYaH5jmBWJj1aROw/7piYa4nmVl47D5TzDpDSPygwkZyNohdHAQ4
        -----END PRIVATE KEY-----
        """

    /// For `other.test` alone, good until 2126.
    package static let otherCertificate = """
        -----BEGIN CERTIFICATE-----
        MIIBmTCCAT6gAwIBAgIUZwfBwx8x5zpwlK339viXxo0xxjAwCgYIKoZIzj0EAwIw
        FTETMBEGA1UEAwwKb3RoZXIudGVzdDAgFw0yNjExMjExNDQ5MzJaGA8yMTI2MTAy
        ODE0NDkzMlowFTETMBEGA1UEAwwKb3RoZXIudGVzdDBZMBMGByqGSM49AgEGCCqG
        SM49AwEHA0IABFtW4k+Yy6HdpZ1XcJKYmY0pnX9+yUV/36O0QKhYN9krV1ExPAgK
        DqWH6ghibvXFu6ABP19W+CnNVKKvBrB4JI2jajBoMB0GA1UdDgQWBBST5J6AgPyh
        QxEJG0cLFnMlwEGq5jAfBgNVHSMEGDAWgBST5J6AgPyhQxEJG0cLFnMlwEGq5jAP
        BgNVHRMBAf8EBTADAQH/MBUGA1UdEQQOMAyCCm90aGVyLnRlc3QwCgYIKoZIzj0E
        AwIDSQAwRgIhALOOKw5JqFlZ4Cw9QZWgiEU++kcvbLI2u7LDe22WL/AlAiEAzGRB
        J+SW1EVQ3am8QGlMYYm7dqmaL4Pi9nEyT0fYYAo=
        -----END CERTIFICATE-----
        """

    /// For `localhost` and 127.0.0.1, good in the year 2020.
    package static let expiredCertificate = """
        -----BEGIN CERTIFICATE-----
        MIIBYjCCAQmgAwIBAgIBATAKBggqhkjOPQQDAjATMREwDwYDVQQDDAhvbGQudGVz
        dDAeFw0yMDAxMDEwMDAwMDBaFw0yMTAxMDEwMDAwMDBaMBMxETAPBgNVBAMMCG9s
        ZC50ZXN0MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEW1biT5jLod2lnVdwkpiZ
        jSmdf37JRX/fo7RAqFg32StXUTE8CAoOpYfqCGJu9cW7oAE/X1b4Kc1Uoq8GsHgk
        jaNOMEwwDwYDVR0TAQH/BAUwAwEB/zAaBgNVHREEEzARgglsb2NhbGhvc3SHBH8A
        AAEwHQYDVR0OBBYEFJPknoCA/KFDEQkbRwsWcyXAQarmMAoGCCqGSM49BAMCA0cA
        MEQCIE80qXip9lqmBUMG7iH/O4AKaR0Jdd932QAIUC8f9dpMAiB0uJ7k/HgL47q7
        S+VzyrRQ4yVNYlSydbM4sQr7rQ4lOQ==
        -----END CERTIFICATE-----
        """

    /// Of the two above.
    package static let otherKey = """
        -----BEGIN PRIVATE KEY-----
        MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgg466Iu6TbL9P7lrw
        UnEbzj060uuJ06zzxjCwrgYqqZOhRANCAARbVuJPmMuh3aWdV3CSmJmNKZ1/fslF
        f9+jtECoWDfZK1dRMTwICg6lh+oIYm71xbugAT9fVvgpzVSirwaweCSN
        -----END PRIVATE KEY-----
        """

    private static let count = Atomic<Int>(0)

    /// A file of its own with this text.
    package static func file(_ text: String) throws -> String {
        let number = count.wrappingAdd(1, ordering: .relaxed).newValue
        let path = "/tmp/gatehouse-test-\(getpid())-\(number).pem"
        try write(text, to: path)
        return path
    }

    package static func write(_ text: String, to path: String) throws {
        struct Failure: Error {}
        guard let file = fopen(path, "w") else { throw Failure() }
        defer { fclose(file) }
        if fputs(text, file) < 0 { throw Failure() }
    }
}
