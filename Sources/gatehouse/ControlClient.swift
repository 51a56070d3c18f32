import AuthCore
import Glibc

/// Speaks HTTP/1.1 with the running server through its control socket: one request, one answer, then it closes.
struct ControlClient {
    let path: String

    struct Answer {
        let status: Int
        let body: [UInt8]
        var json: JSONObject? {
            // An answer without a body, or with another one, has no object.
            (try? JSONReader.read(body, limits: .init(bytesMax: 67_108_864, depthMax: 32, valuesMax: 2_000_000)))?.object
        }
    }

    enum Failure: Error, CustomStringConvertible {
        case notRunning(String)
        case brokenAnswer

        var description: String {
            switch self {
            case .notRunning(let path):
                "no gatehouse listens on \(path). Start one with `gatehouse serve`, or name its settings with --config"
            case .brokenAnswer: "the server's answer cannot be read"
            }
        }
    }

    /// The longest answer, in bytes.
    private static let answerBytesMax = 67_108_864

    func request(_ method: String, _ target: String, body: [UInt8] = []) throws(Failure) -> Answer {
        let descriptor = try connect()
        defer { close(descriptor) }
        var request = Array("\(method) \(target) HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n".utf8)
        if !body.isEmpty || method != "GET" {
            request.append(contentsOf: "content-type: application/json\r\ncontent-length: \(body.count)\r\n".utf8)
        }
        request.append(contentsOf: "\r\n".utf8)
        request.append(contentsOf: body)
        try send(request, to: descriptor)
        return try ControlClient.parse(try receive(from: descriptor))
    }

    private func connect() throws(Failure) -> Int32 {
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        let bytes = Array(path.utf8)
        guard bytes.count < MemoryLayout.size(ofValue: address.sun_path) else { throw .notRunning(path) }
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: bytes) }
        let descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { throw .notRunning(path) }
        let status = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                Glibc.connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
        if status != 0 {
            close(descriptor)
            throw .notRunning(path)
        }
        return descriptor
    }

    private func send(_ bytes: [UInt8], to descriptor: Int32) throws(Failure) {
        var rest = bytes[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { Glibc.send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) }
            guard count > 0 else { throw .brokenAnswer }
            rest = rest.dropFirst(count)
        }
    }

    private func receive(from descriptor: Int32) throws(Failure) -> [UInt8] {
        var answer: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 65_536)
        while answer.count < ControlClient.answerBytesMax {
            let count = read(descriptor, &buffer, buffer.count)
            if count == 0 { return answer }
            guard count > 0 else { throw .brokenAnswer }
            answer.append(contentsOf: buffer[..<count])
        }
        throw .brokenAnswer
    }

    /// The server closes after its answer and gives a length: the body is what follows the head.
    private static func parse(_ answer: [UInt8]) throws(Failure) -> Answer {
        let end = Array("\r\n\r\n".utf8)
        guard answer.count > 12, answer.starts(with: "HTTP/1.1 ".utf8), let status = Int(String(decoding: answer[9..<12], as: UTF8.self)),
            let split = answer.indices.first(where: { answer[$0...].starts(with: end) })
        else { throw .brokenAnswer }
        return Answer(status: status, body: Array(answer[(split + end.count)...]))
    }
}
