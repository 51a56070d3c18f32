import AuthCore
import Gateway
import Store
import Testing

@Suite("Routes are swapped as a whole")
struct GatewayStateTests {
    @Test("a decision during a swap is one of the old table or one of the new, never a mixture")
    func swap() async throws {
        let gate = try Gate([])
        let token = try gate.token()
        // In one table both paths ask for a role and are named "closed"; in the other both are open and named "open".
        let closed = try RouteTable(
            routes: [.needing("/a", name: "a closed") { $0.roles = ["root"] }, .needing("/b", name: "b closed") { $0.roles = ["root"] }],
            resources: [])
        let open = try RouteTable(routes: [.open("/a", name: "a open"), .open("/b", name: "b open")], resources: [])
        gate.state.replaceRoutes(closed)
        let outcomes = await withTaskGroup(of: Set<String>.self) { group in
            group.addTask {
                for number in 0..<2_000 { gate.state.replaceRoutes(number % 2 == 0 ? open : closed) }
                return []
            }
            for path in ["/a", "/b"] {
                group.addTask {
                    var seen: Set<String> = []
                    for _ in 0..<2_000 { seen.insert(gate.decide(path, bearer: token).outcome) }
                    return seen
                }
            }
            return await group.reduce(into: Set<String>()) { $0.formUnion($1) }
        }
        #expect(outcomes.isSubset(of: ["a open", "b open", "403 role_required"]))
        #expect(gate.decide("/a", bearer: token).outcome == "403 role_required")
        gate.state.replaceRoutes(open)
        #expect(gate.decide("/a").outcome == "a open")
        #expect(gate.state.routes === open)
    }

    @Test("a faulty table changes nothing")
    func faulty() throws {
        let gate = try Gate([.open("/a")])
        #expect(throws: RouteTableError.self) { gate.state.replaceRoutes(try RouteTable(routes: [.open("a")], resources: [])) }
        #expect(gate.decide("/a").route == "/a")
    }
}
