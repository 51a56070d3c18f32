import AuthCore
import Testing

@testable import Settings

@Suite("Settings: roles and the control plane")
struct RoleChecksTests {
    private let gateway = """
        roles: [gateway]
        control_plane: {urls: ["https://a.test", "https://b.test:8443"], client_id: gw, client_secret: "env:SECRET", ca: ca.pem}

        """

    @Test("both roles without a word; a gateway alone needs to know where to ask, and no master key")
    func roles() throws {
        #expect(try World().load().settings.roles == [.auth, .gateway])
        #expect(try World().load().settings.controlPlane == nil)
        #expect(try World.load(file: "roles: [auth]\n").settings.roles == [.auth])
        let settings = try World.load(file: gateway, environment: ["SECRET": "s3cret"]).settings
        let plane = try #require(settings.controlPlane)
        #expect(settings.roles == [.gateway])
        #expect(plane.nodes.map(\.host) == ["a.test", "b.test"] && plane.nodes.map(\.port) == [443, 8_443])
        #expect(plane.nodes.map(\.isTLS) == [true, true])
        #expect(plane.clientID == "gw" && plane.clientSecret.exposed == "s3cret" && plane.authorities == "/etc/g/ca.pem")
        #expect(!settings.renderedForPeople().contains("s3cret"))
        let missing = World.load(file: "roles: [gateway]\n").problems.map(\.key)
        #expect(Set(missing) == ["control_plane.urls", "control_plane.client_id", "control_plane.client_secret"])
        #expect(World.load(file: "roles: [proxy]\n").problems.first?.key == "roles")
        #expect(World.load(file: "roles: []\n").problems.first?.key == "roles")
    }

    @Test(
        "a secret travels in clear to nobody but this machine",
        arguments: [
            ("http://127.0.0.1:8080", true), ("http://localhost:8080", true), ("http://[::1]:8080", true), ("https://[2001:db8::1]", true),
            ("http://auth.test", false), ("http://10.0.0.1:8080", false), ("https://a.test/path", false), ("https://u:p@a.test", false),
            ("ftp://a.test", false), ("https://", false), ("https://a.test:0", false), ("a.test:443", false), ("https://A.test", false),
        ])
    func urls(_ url: String, _ isGood: Bool) {
        let text = gateway.replacing(#"["https://a.test", "https://b.test:8443"]"#, with: "[\"\(url)\"]")
        let problems = World.load(file: text, environment: ["SECRET": "s"]).problems
        #expect(problems.allSatisfy { $0.key == "control_plane.urls" } && problems.isEmpty == isGood, "\(problems)")
    }

    @Test("what these roles do not use is a warning")
    func unused() {
        let given = gateway + "storage: sqlite:a.db\n"
        #expect(World.load(file: given, environment: ["SECRET": "s"]).warnings.map(\.key) == ["storage"])
        #expect(World.load(file: "control_plane: {client_id: x}\n").warnings.map(\.key) == ["control_plane.client_id"])
    }
}
