/// Finds the longest registered path that a path begins with, by whole segments, byte by byte, without allocating.
///
/// Built once. A lookup looks at each byte of the path at most once and goes no deeper than the deepest registered path.
struct PathTree: Sendable {
    private struct Node {
        var edges: Range<Int>
        /// What is registered here; negative when nothing is.
        var place: Int
    }

    private struct Edge {
        var label: Range<Int>
        var node: Int
    }

    private var labels: [UInt8] = []
    private var edges: [Edge] = []
    private var nodes: [Node] = []

    /// - Parameter paths: Each begins with `/`; no two are the same.
    init(_ paths: [(path: ArraySlice<UInt8>, place: Int)]) {
        let items = paths.map { (segments: PathTree.segments(of: $0.path), place: $0.place) }
        nodes.append(Node(edges: 0..<0, place: -1))
        fill(0, items, depth: 0)
    }

    /// The place of the longest registered path that `path` begins with; nothing when there is none.
    func longestMatch(_ path: ArraySlice<UInt8>) -> Int? {
        path.withUnsafeBufferPointer { path in
            var node = 0
            var best = nodes[0].place
            var start = 1
            while start < path.count {
                var end = start
                while end < path.count, path[end] != UInt8(ascii: "/") { end += 1 }
                guard let next = child(of: node, UnsafeBufferPointer(rebasing: path[start..<end])) else { break }
                node = next
                if nodes[node].place >= 0 { best = nodes[node].place }
                start = end + 1
            }
            return best >= 0 ? best : nil
        }
    }

    private func child(of node: Int, _ segment: UnsafeBufferPointer<UInt8>) -> Int? {
        var low = nodes[node].edges.lowerBound
        var high = nodes[node].edges.upperBound
        while low < high {
            let middle = low + (high - low) / 2
            let order = order(segment, edges[middle].label)
            if order == 0 { return edges[middle].node }
            if order < 0 { high = middle } else { low = middle + 1 }
        }
        return nil
    }

    /// Writes what is below `node`: the items whose first `depth` segments led there. As deep as `RouteTable.segmentsMax`.
    private mutating func fill(_ node: Int, _ items: [(segments: [ArraySlice<UInt8>], place: Int)], depth: Int) {
        var groups: [(label: ArraySlice<UInt8>, items: [(segments: [ArraySlice<UInt8>], place: Int)])] = []
        let deeper = items.filter { $0.segments.count > depth }.sorted {
            PathTree.order($0.segments[depth], $1.segments[depth]) < 0
        }
        for item in deeper {
            if let last = groups.last, PathTree.order(last.label, item.segments[depth]) == 0 {
                groups[groups.count - 1].items.append(item)
            } else {
                groups.append((item.segments[depth], [item]))
            }
        }
        let first = edges.count
        for group in groups {
            edges.append(Edge(label: labels.count..<(labels.count + group.label.count), node: nodes.count))
            labels.append(contentsOf: group.label)
            nodes.append(Node(edges: 0..<0, place: -1))
        }
        nodes[node] = Node(
            edges: first..<edges.count,
            place: items.first { $0.segments.count == depth }?.place ?? -1
        )
        for (offset, group) in groups.enumerated() { fill(edges[first + offset].node, group.items, depth: depth + 1) }
    }

    static func segments(of path: ArraySlice<UInt8>) -> [ArraySlice<UInt8>] {
        path.dropFirst().split(separator: UInt8(ascii: "/"))
    }

    /// As the order below, against a label of this tree.
    private func order(_ segment: UnsafeBufferPointer<UInt8>, _ label: Range<Int>) -> Int {
        if segment.count != label.count { return segment.count < label.count ? -1 : 1 }
        for offset in 0..<segment.count {
            let (left, right) = (segment[offset], labels[label.lowerBound + offset])
            if left != right { return left < right ? -1 : 1 }
        }
        return 0
    }

    /// The shorter first, then by bytes: any total order does, and this one mostly stops at the length.
    private static func order(_ left: ArraySlice<UInt8>, _ right: ArraySlice<UInt8>) -> Int {
        if left.count != right.count { return left.count < right.count ? -1 : 1 }
        for (a, b) in zip(left, right) where a != b { return a < b ? -1 : 1 }
        return 0
    }
}
