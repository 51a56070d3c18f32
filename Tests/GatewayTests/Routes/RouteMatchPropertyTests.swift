import AuthCore
import Gateway
import Store
import TestSupport
import Testing

@Suite("CVE-2026-48794 the matcher equals a naive one")
struct RouteMatchPropertyTests {
    /// By the words of the contract, with nothing clever.
    private func naive(_ routes: [RouteDefinition], _ method: String, _ host: String, _ path: String) -> String {
        func segments(_ path: String) -> [ArraySlice<UInt8>] {
            var segments = Array(path.utf8).dropFirst().split(separator: 0x2F, omittingEmptySubsequences: false)
            if segments.last?.isEmpty == true { segments.removeLast() }
            return segments
        }
        let wanted = segments(path)
        func best(_ candidates: [RouteDefinition]) -> [RouteDefinition] {
            let matching = candidates.filter { wanted.starts(with: segments($0.path)) }
            let longest = matching.map { segments($0.path).count }.max()
            return matching.filter { segments($0.path).count == longest }
        }
        var place = best(routes.filter { $0.host?.isSameBytes(as: host) == true })
        if place.isEmpty { place = best(routes.filter { $0.host == nil }) }
        if place.isEmpty { return "404 no_route" }
        for route in place {
            guard let methods = route.methods else { return route.name }
            if methods.contains(method) || (method == "HEAD" && methods.contains("GET")) { return route.name }
        }
        return "405 method_not_allowed"
    }

    @Test("on random tables and random requests", arguments: 1...40 as ClosedRange<UInt64>)
    func equal(seed: UInt64) throws {
        var generator = SeededGenerator(seed: seed)
        let words = ["a", "b", "ab", "aa", "A", "a.b", "@", "-"]
        func path(_ most: Int) -> String {
            let count = Int.random(in: 0...most, using: &generator)
            return "/" + (0..<count).map { _ in words.randomElement(using: &generator) ?? "a" }.joined(separator: "/")
        }
        var routes: [RouteDefinition] = []
        for number in 0..<Int.random(in: 1...30, using: &generator) {
            let route = RouteDefinition.open(path(4), name: "r\(number)") {
                $0.host = [nil, nil, "one.test", "two.test"].randomElement(using: &generator) ?? nil
                $0.methods = [nil, ["GET"], ["POST"], ["PUT", "DELETE"]].randomElement(using: &generator) ?? nil
            }
            // What the table would refuse is left out.
            do throws(RouteTableError) {
                _ = try RouteTable(routes: routes + [route], resources: [])
                routes.append(route)
            } catch {}
        }
        let gate = try Gate(routes)
        for _ in 0..<400 {
            let wanted = path(6) + (Bool.random(using: &generator) ? "" : "/")
            let target = wanted == "//" ? "/" : wanted
            let method = ["GET", "HEAD", "POST", "DELETE", "PATCH"].randomElement(using: &generator) ?? "GET"
            let host = ["one.test", "two.test", "three.test"].randomElement(using: &generator) ?? ""
            #expect(
                gate.decide(target, method: method, host: host).outcome == naive(routes, method, host, target),
                "seed \(seed): \(method) \(host) \(target)")
        }
    }
}
