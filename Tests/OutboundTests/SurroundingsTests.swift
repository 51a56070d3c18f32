import AuthCore
import TestSupport
import Testing

@testable import Outbound

#if canImport(Glibc)
import Glibc
#else
import Darwin
#endif

@Suite("FE-10: nothing of the surroundings decides where we connect to, or what we say there")
struct SurroundingsTests {
    /// In a process of its own, because its environment is one for all threads.
    @Test("proxies of the environment see nothing, and no file of a user's home is read", .timeLimit(.minutes(2)))
    func proxies() async {
        await #expect(processExitsWith: .success) {
            let proxy = try await HostileServer.start(certificate: nil) { _ in .reply("HTTP/1.1 502 No\r\n\r\n") }
            for name in ["http_proxy", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"] {
                setenv(name, "http://127.0.0.1:\(proxy.port)", 1)
            }
            setenv("no_proxy", "", 1)
            let home = "/tmp/gatehouse-test-home-\(getpid())"
            mkdir(home, 0o700)
            try TestCertificates.write(
                "machine localhost login user password secret\ndefault login user password secret\n", to: home + "/.netrc")
            try TestCertificates.write("user-agent = \"from-the-file\"\n", to: home + "/.curlrc")
            setenv("HOME", home, 1)
            setenv("CURL_HOME", home, 1)
            setenv("NETRC", home + "/.netrc", 1)
            let secure = try await HostileServer.start { _ in .json("{}", "Set-Cookie: a=b\r\n") }
            let plain = try await HostileServer.start(certificate: nil) { _ in .json("{}", "Set-Cookie: a=b\r\n") }
            let outbound = try Fetcher.make(try Fetcher.options())
            for _ in 0..<2 {
                for url in ["https://localhost:\(secure.port)/", "http://localhost:\(plain.port)/"] {
                    guard await Fetcher.outcome(outbound, try Fetcher.json(url)).answer?.status == 200 else { exit(10) }
                }
            }
            guard proxy.seen.connections == 0 else { exit(11) }
            for request in secure.seen.requests + plain.seen.requests {
                let text = request.lowercased()
                if text.contains("authorization") || text.contains("cookie") || text.contains("from-the-file") { exit(12) }
            }
            guard secure.seen.requests.count == 2, plain.seen.requests.count == 2 else { exit(13) }
            exit(0)
        }
    }
}
