internal import NIOCore

#if canImport(Glibc)
internal import Glibc
#elseif canImport(Musl)
internal import Musl
#else
internal import Darwin
#endif

enum ListenErrors {
    static func isInUse(_ error: IOError) -> Bool { error.errnoCode == EADDRINUSE }
}
