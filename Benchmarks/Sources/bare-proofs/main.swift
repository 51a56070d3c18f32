// Makes DPoP proofs (RFC 9449 §4.2) faster than a script can, so that all are fresh when the load starts.
//
//     BENCH_KEY=HEX bare-proofs METHOD URL NONCE ATH COUNT SECONDS        prints COUNT proofs, one a line
//
// Fewer if SECONDS are over before.
// BENCH_KEY is the private key of P-256, 32 bytes. Nothing is checked and nothing escaped: the driver of the benchmarks calls it.

internal import Crypto
internal import Foundation

func base64URL(_ bytes: some Sequence<UInt8>) -> String {
    Data(bytes).base64EncodedString().replacing("+", with: "-").replacing("/", with: "_").replacing("=", with: "")
}

let arguments = CommandLine.arguments
guard arguments.count == 7, let count = Int(arguments[5]), let seconds = Double(arguments[6]),
    let hex = ProcessInfo.processInfo.environment["BENCH_KEY"], hex.count == 64
else {
    fatalError("usage: BENCH_KEY=HEX bare-proofs METHOD URL NONCE ATH COUNT SECONDS")
}
let digits = Array(hex)
let raw = stride(from: 0, to: digits.count, by: 2).compactMap { UInt8(String(digits[$0...$0 + 1]), radix: 16) }
let key = try P256.Signing.PrivateKey(rawRepresentation: raw)
let point = key.publicKey.rawRepresentation
let jwk = #"{"kty":"EC","crv":"P-256","x":"\#(base64URL(point.prefix(32)))","y":"\#(base64URL(point.suffix(32)))"}"#
let head = base64URL(#"{"alg":"ES256","typ":"dpop+jwt","jwk":\#(jwk)}"#.utf8)
// Differs from run to run, as proofs of one key must.
let run = UInt64.random(in: .min ... .max)
let began = ContinuousClock.now
let issued = Int(Date().timeIntervalSince1970)
let claims = #""htm":"\#(arguments[1])","htu":"\#(arguments[2])","iat":\#(issued),"nonce":"\#(arguments[3])","ath":"\#(arguments[4])""#

var lines = ""
for number in 0..<count {
    let input = head + "." + base64URL(#"{"jti":"\#(run)-\#(number)",\#(claims)}"#.utf8)
    lines += input + "." + base64URL(try key.signature(for: Data(input.utf8)).rawRepresentation) + "\n"
    if began.duration(to: .now) > .seconds(seconds) { break }
    if lines.utf8.count > 1 << 20 {
        FileHandle.standardOutput.write(Data(lines.utf8))
        lines = ""
    }
}
FileHandle.standardOutput.write(Data(lines.utf8))
