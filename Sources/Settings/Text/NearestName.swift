internal import AuthCore

/// Finds the name that somebody probably meant.
package enum NearestName {
    /// Longer texts are compared by their beginning, so the work on a wild name has an end.
    static let bytesMax = 128

    /// The known name with the fewest edits from `name`; of several the first. Nothing when none is known.
    ///
    /// A known name whose last part is the same (`access_ttl` for `tokens.access_ttl`) wins when it is the only one.
    package static func of(_ name: String, among known: some Sequence<String>) -> String? {
        let known = Array(known)
        let last = lastPart(name)
        let sameEnd = known.filter { lastPart($0).elementsEqual(last) }
        if sameEnd.count == 1 { return sameEnd[0] }
        let wanted = folded(name)
        return known.min { distance(wanted, folded($0)) < distance(wanted, folded($1)) }
    }

    private static func lastPart(_ name: String) -> [UInt8] {
        folded(name).split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false).last.map(Array.init) ?? []
    }

    private static func folded(_ name: String) -> [UInt8] { name.utf8.prefix(bytesMax).map(lowercasedASCII) }

    /// Optimal string alignment: insertions, deletions, replacements, and swaps of neighbours, each counted once.
    static func distance(_ left: [UInt8], _ right: [UInt8]) -> Int {
        var beforeLast: [Int] = []
        var last = Array(0...right.count)
        for row in 0..<left.count {
            var current = [row + 1]
            for column in 0..<right.count {
                let replaced = last[column] + (left[row] == right[column] ? 0 : 1)
                var best = min(replaced, last[column + 1] + 1, current[column] + 1)
                if row > 0, column > 0, left[row] == right[column - 1], left[row - 1] == right[column] {
                    best = min(best, beforeLast[column - 1] + 1)
                }
                current.append(best)
            }
            beforeLast = last
            last = current
        }
        return last[right.count]
    }
}
