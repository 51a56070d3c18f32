internal import CAssets

/// The 10 000 most common passwords, compiled into the program (PW-05; zxcvbn 4.5.0, MIT). In lower-case ASCII, one a line.
enum CommonPasswords {
    /// Where each line begins and ends in the asset, in the order of the bytes: 80 KB, made on first use.
    private static let lines: [Range<UInt32>] = {
        let text = CommonPasswords.text
        var lines: [Range<UInt32>] = []
        lines.reserveCapacity(10_000)
        var start = 0
        for position in text.indices where text[position] == 0x0A {
            if position > start { lines.append(UInt32(start)..<UInt32(position)) }
            start = position + 1
        }
        return lines.sorted { left, right in
            text[Int(left.lowerBound)..<Int(left.upperBound)].lexicographicallyPrecedes(text[Int(right.lowerBound)..<Int(right.upperBound)])
        }
    }()

    static var count: Int { lines.count }

    /// - Parameter password: Its code points, in lower case.
    static func contains(_ password: [UInt32]) -> Bool {
        var word: [UInt8] = []
        for value in password {
            guard value < 0x80 else { return false }
            word.append(UInt8(value))
        }
        let text = CommonPasswords.text
        var low = 0
        var high = lines.count
        while low < high {
            let middle = low + (high - low) / 2
            let line = text[Int(lines[middle].lowerBound)..<Int(lines[middle].upperBound)]
            if line.elementsEqual(word) { return true }
            if line.lexicographicallyPrecedes(word) { low = middle + 1 } else { high = middle }
        }
        return false
    }

    /// The asset lives as long as the process.
    private static var text: UnsafeBufferPointer<UInt8> {
        var length = 0
        let start = gatehouse_asset("common-passwords.txt", &length)
        return UnsafeBufferPointer(start: start, count: start == nil ? 0 : length)
    }
}
