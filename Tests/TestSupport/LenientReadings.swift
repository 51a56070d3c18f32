/// What careless services make of a path: each way of reading that has led around a gateway's rule somewhere, alone and one
/// after the other.
///
/// A gateway decides safely when whatever it forwards means the same to all of them: every reading belongs to the route that was
/// decided on.
package enum LenientReadings {
    private static let readingsMax = 2_000

    /// - Parameter target: The request target as forwarded.
    /// - Returns: Paths; the one that was forwarded is the first.
    package static func of(_ target: [UInt8]) -> [[UInt8]] {
        var found: [[UInt8]] = [Array(target.prefix { $0 != UInt8(ascii: "?") })]
        var known = Set(found)
        var next = 0
        while next < found.count, found.count < readingsMax {
            for read in ways {
                let reading = read(found[next])
                if known.insert(reading).inserted { found.append(reading) }
            }
            next += 1
        }
        return found
    }

    /// Whether `prefix` matches `path` by whole segments, as a service's own router would see it.
    package static func path(_ path: [UInt8], isBelow prefix: String) -> Bool {
        let prefix = Array(prefix.utf8)
        if prefix == [UInt8(ascii: "/")] { return true }
        return path.starts(with: prefix) && (path.count == prefix.count || path[prefix.count] == UInt8(ascii: "/"))
    }

    private static let slash = UInt8(ascii: "/")

    private static let ways: [@Sendable ([UInt8]) -> [UInt8]] = [
        decoded, wideDecoded, shortened, withSlashes, withoutParameters, collapsed, resolved, cut, withoutControls,
    ]

    /// Percent-escapes, once, whatever they stand for.
    private static func decoded(_ path: [UInt8]) -> [UInt8] {
        var result: [UInt8] = []
        var index = 0
        while index < path.count {
            if path[index] == UInt8(ascii: "%"), index + 2 < path.count, let high = digit(path[index + 1]), let low = digit(path[index + 2])
            {
                result.append(high << 4 | low)
                index += 3
            } else {
                result.append(path[index])
                index += 1
            }
        }
        return result
    }

    /// `%u002f`, as Microsoft's servers once read it.
    private static func wideDecoded(_ path: [UInt8]) -> [UInt8] {
        var result: [UInt8] = []
        var index = 0
        while index < path.count {
            let digits = index + 5 < path.count ? path[(index + 2)...(index + 5)].compactMap(digit) : []
            if path[index] == UInt8(ascii: "%"), index + 5 < path.count, path[index + 1] | 0x20 == UInt8(ascii: "u"), digits.count == 4 {
                result.append(digits[2] << 4 | digits[3])
                index += 6
            } else {
                result.append(path[index])
                index += 1
            }
        }
        return result
    }

    /// Overlong UTF-8 of two and three bytes, as the ASCII that it stands for.
    private static func shortened(_ path: [UInt8]) -> [UInt8] {
        var result: [UInt8] = []
        var index = 0
        while index < path.count {
            let rest = path[index...]
            if rest.count >= 2, rest[index] & 0xFE == 0xC0, rest[index + 1] & 0xC0 == 0x80 {
                result.append(rest[index] << 6 | rest[index + 1] & 0x3F)
                index += 2
            } else if rest.count >= 3, rest[index] == 0xE0, rest[index + 1] & 0xFE == 0x80, rest[index + 2] & 0xC0 == 0x80 {
                result.append(rest[index + 1] << 6 | rest[index + 2] & 0x3F)
                index += 3
            } else {
                result.append(path[index])
                index += 1
            }
        }
        return result
    }

    private static func withSlashes(_ path: [UInt8]) -> [UInt8] { path.map { $0 == UInt8(ascii: "\\") ? slash : $0 } }

    private static func withoutParameters(_ path: [UInt8]) -> [UInt8] {
        var isParameter = false
        return path.filter { byte in
            if byte == slash { isParameter = false }
            if byte == UInt8(ascii: ";") { isParameter = true }
            return !isParameter
        }
    }

    private static func collapsed(_ path: [UInt8]) -> [UInt8] {
        var result: [UInt8] = []
        for byte in path where byte != slash || result.last != slash { result.append(byte) }
        return result
    }

    /// RFC 3986 §5.2.4.
    private static func resolved(_ path: [UInt8]) -> [UInt8] {
        var segments: [ArraySlice<UInt8>] = []
        for segment in path.split(separator: slash, omittingEmptySubsequences: false).dropFirst() {
            if segment.elementsEqual("..".utf8) {
                _ = segments.popLast()
            } else if !segment.elementsEqual(".".utf8) {
                segments.append(segment)
            }
        }
        return segments.isEmpty ? [slash] : segments.flatMap { [slash] + $0 }
    }

    /// At a NUL, and at what begins a query or a fragment once it is decoded.
    private static func cut(_ path: [UInt8]) -> [UInt8] {
        Array(path.prefix { $0 != 0 && $0 != UInt8(ascii: "?") && $0 != UInt8(ascii: "#") })
    }

    private static func withoutControls(_ path: [UInt8]) -> [UInt8] { path.filter { $0 >= 0x20 && $0 != 0x7F } }

    private static func digit(_ byte: UInt8) -> UInt8? {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): byte - UInt8(ascii: "0")
        case UInt8(ascii: "a")...UInt8(ascii: "f"): byte - UInt8(ascii: "a") + 10
        case UInt8(ascii: "A")...UInt8(ascii: "F"): byte - UInt8(ascii: "A") + 10
        default: nil
        }
    }
}
