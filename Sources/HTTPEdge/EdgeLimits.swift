package import AuthCore

/// Everything at the edge that can grow or last, with its maximum (GW-12).
package struct EdgeLimits: Sendable {
    /// The request line without its CRLF, in bytes; past it 414.
    package var requestLineBytesMax = 8_192
    /// All field lines together with their CRLFs, in bytes; past it 431.
    package var headerBytesMax = 32_768
    /// Field lines of one head; past it 431.
    package var headerFieldsMax = 100
    /// Chunk extensions of one chunk, and trailer fields of one body, in bytes.
    package var chunkExtensionBytesMax = 256
    package var trailerBytesMax = 8_192

    /// From the first byte of a head to its end; for TLS also the time for the handshake.
    package var headerTime: Duration = .seconds(10)
    /// Between two requests of one connection, and before the first byte of a new one.
    package var keepAliveIdle: Duration = .seconds(60)
    /// No byte moves while an answer is being sent.
    package var idle: Duration = .seconds(60)
    /// For the rest of one complete answer that the client has not read yet.
    package var answerTime: Duration = .seconds(300)
    /// How long an answer may still take once the client has closed its sending side.
    package var halfClosedTime: Duration = .seconds(10)
    /// How long input is thrown away after the last answer, so that the client can read it before the connection is reset.
    package var lingerTime: Duration = .seconds(2)
    /// At the start of a drain, how long an idle connection may still bring a request that is already on its way.
    package var drainIdleTime: Duration = .milliseconds(250)
    /// At the start of a drain of a server with connections, how long handshakes that are under way may take.
    package var handshakeTime: Duration = .milliseconds(100)
    /// The grain of all times above: deadlines are looked at this often.
    package var tick: Duration = .milliseconds(250)

    /// The least that a body must bring in each window, in bytes a second; below it 408.
    package var bodyBytesPerSecondMin = 240
    package var bodyRateWindow: Duration = .seconds(10)
    /// Of a body that nobody asked for: what is read and thrown away to keep the connection. More closes it.
    package var discardBytesMax = 65_536
    /// What is read ahead of the request in hand before reading stops.
    package var aheadBytesMax = 16_384

    package var connectionsMax = 10_000
    /// By IPv4 address or IPv6 /64.
    package var connectionsPerAddressMax = 256
    /// Addresses that `connectionsPerAddressMax` does not hold for: this machine, and proxies in front of us.
    package var unlimitedAddresses: [AddressRange] = ["127.0.0.0/8", "::1/128"].compactMap { AddressRange($0) }
    /// Connections over a maximum that are told so with a 503 at the same time; past it they are closed without a word.
    package var refusalsMax = 256
    /// Connections that the kernel completes before they are accepted.
    package var backlog = 1_024

    package init() {}
}
