#if canImport(Glibc)
internal import Glibc
#elseif canImport(Musl)
internal import Musl
#else
internal import Darwin
#endif

/// A listening Unix socket that only its owner can open.
enum UnixSocket {
    struct Failure: Error, CustomStringConvertible {
        let description: String
    }

    /// Binds, so that the file has mode 0600 from its first moment.
    ///
    /// A socket file that nobody listens on is left over from a process that was killed, and is replaced; anything else that
    /// has the name is an error.
    static func bind(_ path: String) throws(Failure) -> CInt {
        try removeLeftover(path)
        let socket = try open()
        // On Linux a socket file takes its mode from the descriptor, so there is no moment with a wider one.
        guard fchmod(socket, 0o600) == 0, call(path, socket, connects: false) == 0, chmod(path, 0o600) == 0 else {
            let failure = Failure.last
            close(socket)
            throw failure
        }
        return socket
    }

    static func remove(_ path: String) { unlink(path) }

    private static func removeLeftover(_ path: String) throws(Failure) {
        var status = stat()
        guard lstat(path, &status) == 0 else { return }
        guard status.st_mode & S_IFMT == S_IFSOCK else { throw Failure(description: "there is a file of that name that is no socket") }
        let socket = try open()
        defer { close(socket) }
        if call(path, socket, connects: true) == 0 { throw Failure(description: "another process listens there") }
        guard errno == ECONNREFUSED else { throw .last }
        unlink(path)
    }

    private static func open() throws(Failure) -> CInt {
        #if os(Linux)
        let socket = socket(AF_UNIX, CInt(SOCK_STREAM.rawValue) | CInt(SOCK_CLOEXEC.rawValue), 0)
        #else
        let socket = socket(AF_UNIX, SOCK_STREAM, 0)
        #endif
        guard socket >= 0 else { throw .last }
        return socket
    }

    private static func call(_ path: String, _ socket: CInt, connects: Bool) -> CInt {
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        let bytes = Array(path.utf8)
        let fits = withUnsafeMutableBytes(of: &address.sun_path) { room in
            if bytes.count >= room.count { return false }
            room.copyBytes(from: bytes)
            return true
        }
        guard fits else {
            errno = ENAMETOOLONG
            return -1
        }
        return withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { address in
                let size = socklen_t(MemoryLayout<sockaddr_un>.size)
                #if canImport(Glibc)
                return connects ? Glibc.connect(socket, address, size) : Glibc.bind(socket, address, size)
                #elseif canImport(Musl)
                return connects ? Musl.connect(socket, address, size) : Musl.bind(socket, address, size)
                #else
                return connects ? Darwin.connect(socket, address, size) : Darwin.bind(socket, address, size)
                #endif
            }
        }
    }
}

extension UnixSocket.Failure {
    /// What `errno` says.
    static var last: UnixSocket.Failure { UnixSocket.Failure(description: String(cString: strerror(errno))) }
}
