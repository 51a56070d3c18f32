import AuthCore
import Outbound
import Settings

extension Outbound {
    /// - Throws: One sentence for the operator.
    static func open(_ settings: ServerSettings, environment: Environment) throws -> Outbound {
        let resolved = settings.resolved
        var options = Options()
        options.allow = resolved.texts("outbound.allow")
        options.ports = resolved.list("outbound.ports").compactMap {
            if case .integer(let port) = $0 { UInt16(exactly: port) } else { nil }
        }
        // Development: there everything is on this machine, the clients too.
        options.keepsLoopback = settings.issuer.isLoopback
        options.authorities = resolved.optionalText("outbound.ca")
        options.connectTimeMax = try resolved.duration("outbound.connect_timeout")
        options.timeMax = try resolved.duration("outbound.timeout")
        options.threads = Int(try resolved.integer("outbound.threads"))
        options.queue = Int(try resolved.integer("outbound.queue"))
        if let path = options.authorities, let problem = AuthorityFile.problem(path) { throw StartFailure("outbound.ca: \(problem)") }
        do throws(OutboundPolicy.Fault) { return try Outbound(options, environment: environment) } catch {
            throw StartFailure("outbound.allow: \"\(error.entry)\" is no address, range or host, or there are too many")
        }
    }
}

/// What would otherwise be noticed only by the first fetch.
enum AuthorityFile {
    static func problem(_ path: String) -> String? {
        do throws(FileReadError) {
            let bytes = try Files.read(path)
            return bytes.firstRange(of: Array("-----BEGIN CERTIFICATE-----".utf8)) == nil ? "\(path) has no certificate in PEM" : nil
        } catch { return "\(path): \(error)" }
    }
}
