import Accounts
import AuthCore
import Gateway
import Glibc
import OAuthServer
import Outbound
import Settings
import Store
import TokenVerification
import WebServer

/// `gatehouse check-config`
enum CheckConfigCommand {
    static func run(_ arguments: [String]) async throws -> Int32 {
        let (settings, warnings) = try SettingsLoading.load(arguments)
        for warning in warnings { Terminal.error("warning: \(warning)") }
        _ = try Outbound.open(settings, environment: .live)
        var files: [ResourceFile] = []
        for path in settings.applyFiles {
            do { files.append(ResourceFile(path: path, bytes: try Files.read(path))) } catch { throw UsageError("\(path): \(error)") }
        }
        let context = ResourceContext(issuer: settings.issuer, environment: ProcessEnvironment.all) { path in try Files.read(path) }
        switch ResourceFile.read(files, context: context) {
        case .failure(let problems):
            throw UsageError("the resource files have mistakes:\n" + problems.list.map { "  \($0)" }.joined(separator: "\n"))
        case .success(let reading):
            for warning in reading.warnings { Terminal.error("warning: \(warning)") }
            Terminal.out(settings.renderedForPeople())
            Terminal.out("the settings and \(files.count) resource files are good")
            return 0
        }
    }
}

/// `gatehouse verdict KIND`: one line in, one line out, in order, flushed each.
enum VerdictCommand {
    /// The longest line, in bytes.
    private static let lineBytesMax = 4_194_304

    static func run(_ arguments: [String]) async throws -> Int32 {
        let options = try Options(arguments, options: ["--resources"], operands: 1)
        let judge = try judge(of: options)
        var isWhole = true
        while let line = readLine() {
            guard line.utf8.count <= lineBytesMax,
                // A line that is no JSON object is no case.
                let object = (try? JSONReader.read(line, limits: .init(bytesMax: lineBytesMax, depthMax: 64, valuesMax: 100_000)))?.object
            else {
                isWhole = false
                write(JSONObject([("id", .null), ("verdict", .string("error")), ("reason", .string("invalid_case"))]))
                continue
            }
            let answer = judge(object)
            if answer["verdict"]?.string == "error" { isWhole = false }
            write(answer)
        }
        return isWhole ? 0 : 2
    }

    private static func write(_ answer: JSONObject) { Terminal.out(String(decoding: JSONValue.object(answer).encoded, as: UTF8.self)) }

    private static func judge(of options: Options) throws -> (JSONObject) -> JSONObject {
        switch options.operands.first {
        case "token": return VerdictToken.answer
        case "jws": return VerdictJWS.answer
        case "json": return VerdictJSON.answer
        case "dpop": return VerdictDPoP.answer
        case "redirect": return VerdictRedirect.answer
        case "form": return VerdictForm.answer
        case "basic": return VerdictBasic.answer
        case "identifier": return VerdictIdentifier.answer
        case "password": return VerdictPassword.answer
        case "address":
            let policy = try OutboundPolicy(allow: [], ports: Outbound.Options().ports)
            return AddressVerdict(policy).answer
        case "route":
            guard let path = options.value("--resources") else { throw UsageError("route needs --resources FILE") }
            let file: ResourceFile
            do { file = ResourceFile(path: path, bytes: try Files.read(path)) } catch { throw UsageError("\(path): \(error)") }
            let context = ResourceContext(issuer: try Issuer("http://localhost:8080"), environment: ProcessEnvironment.all) {
                try Files.read($0)
            }
            switch ResourceFile.read([file], context: context) {
            case .failure(let problems): throw UsageError(problems.list.map(\.description).joined(separator: "\n"))
            case .success(let reading):
                let table = try RouteTable(routes: reading.document.routes, resources: reading.document.resources)
                let verdict = RouteVerdict(table)
                return { verdict.answer($0) }
            }
        case let kind:
            throw UsageError(
                "the kinds are token, jws, json, dpop, redirect, form, basic, route, identifier, password, address; \"\(kind ?? "")\" is none"
            )
        }
    }
}

/// `gatehouse tune-password-hashing`
enum TuneCommand {
    static func run(_ arguments: [String]) async throws -> Int32 {
        let options = try Options(arguments, operands: 1)
        let text = options.operands.first ?? "250ms"
        guard let target = DurationText.parse(text), target >= .milliseconds(10), target <= .seconds(10) else {
            throw UsageError("\"\(text)\" is no duration from 10ms to 10s")
        }
        let environment = Environment.live
        let tuned = tunePasswordHashing(target: target) { parameters in
            let started = environment.uptime()
            // Making a hasher makes one hash. Parameters that this machine has no memory for count as too slow.
            guard (try? PasswordHasher(parameters: parameters, environment: environment)) != nil else { return .seconds(3_600) }
            return environment.uptime() - started
        }
        Terminal.out("# One hash takes \(tuned.measured.wholeMilliseconds) ms on this machine, alone.")
        Terminal.out("passwords:")
        Terminal.out("  memory_kib: \(tuned.parameters.memoryKiB)")
        Terminal.out("  iterations: \(tuned.parameters.iterations)")
        Terminal.out("  parallelism: \(tuned.parameters.parallelism)")
        return 0
    }
}

/// `gatehouse docs`: the pages that are made from the program itself.
enum DocsCommand {
    static func run(_ arguments: [String]) async throws -> Int32 {
        switch arguments {
        case ["configuration"]: Terminal.out(ConfigurationManual.render(keys: ServerKeys.all + Node.moreKeys).droppingLastLineBreak)
        case ["errors"]: Terminal.out(ErrorCatalogue.page.droppingLastLineBreak)
        default: throw UsageError("configuration or errors")
        }
        return 0
    }
}

extension String {
    fileprivate var droppingLastLineBreak: String { hasSuffix("\n") ? String(dropLast()) : self }
}
