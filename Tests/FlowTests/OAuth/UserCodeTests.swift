import AuthCore
import OAuthServer
import TestSupport
import Testing

@Suite("RFC 8628 §6.1 user codes")
struct UserCodeTests {
    @Test("eight of the twenty consonants, each as likely as the others, shown as XXXX-XXXX")
    func made() throws {
        var counts: [Character: Int] = [:]
        for _ in 0..<2_000 {
            let code = UserCode(.live)
            #expect(code.shown.wholeMatch(of: /[BCDFGHJKLMNPQRSTVWXZ]{4}-[BCDFGHJKLMNPQRSTVWXZ]{4}/) != nil)
            for letter in code.shown where letter != "-" { counts[letter, default: 0] += 1 }
        }
        #expect(counts.count == 20)
        // 800 each; ten standard deviations to both sides.
        #expect(counts.values.allSatisfy { (525...1_075).contains($0) }, "\(counts)")
    }

    @Test("whoever types it may leave case, dashes and spaces as they like", arguments: ["WDJBMJHT", "wdjb-mjht", " W-D-J b MJ--ht "])
    func typed(_ text: String) { #expect(UserCode(typed: text)?.shown == "WDJB-MJHT") }

    @Test(
        "anything else is no code",
        arguments: ["", "WDJB-MJH", "WDJB-MJHTW", "WDJB-MJHA", "WDJB-MJH1", "WDJB_MJHT", "WDJB–MJHT", "ＷＤＪＢMJHT", "WDJB\tMJHT"])
    func malformed(_ text: String) { #expect(UserCode(typed: text) == nil) }

    @Test("random text never traps, and what is read is shown in one way")
    func fuzz() {
        var random = SeededGenerator(seed: 8_628)
        let letters = Array("BCDFGHJKLMNPQRSTVWXZbcdz -A1\u{0}é–")
        for _ in 0..<20_000 {
            let text = String(
                (0..<Int.random(in: 0...12, using: &random)).map { _ in letters[Int.random(in: 0..<letters.count, using: &random)] })
            guard let code = UserCode(typed: text) else { continue }
            #expect(UserCode(typed: code.shown) == code)
            #expect(code.shown == UserCode(typed: text.lowercased())?.shown)
        }
    }
}
