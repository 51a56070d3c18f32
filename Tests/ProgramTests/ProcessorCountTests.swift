import Testing

@testable import gatehouse

/// Event loops are one for each processor that this process may use, not for each that the machine has.
@Suite("Processors")
struct ProcessorCountTests {
    @Test(
        "a list of processors is counted (cpuset(7))",
        arguments: [("0", 1), ("\t0-1\n", 2), ("0-3,8", 5), ("2,4,6", 3), ("7-7", 1)] as [(String, Int)])
    func count(_ list: String, _ count: Int) {
        #expect(ProcessEnvironment.count(inList: list.filter { $0 != "\n" }) == count)
    }

    @Test("what is no list is not counted", arguments: ["", "x", "1-", "-1", "3-1", "1,,2", "1-2-3", "0-99999999999999999999"])
    func refuse(_ list: String) {
        #expect(ProcessEnvironment.count(inList: list) == nil)
    }
}
