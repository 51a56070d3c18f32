package import AuthCore
internal import Synchronization

/// A responder that another one takes the place of, once: what answers a listener that is open before what it answers with is there.
///
/// Each request asks anew, so connections that are open meanwhile stay open.
package final class LateResponder: EdgeResponder {
    private final class Box: Sendable {
        let responder: any EdgeResponder

        init(_ responder: any EdgeResponder) { self.responder = responder }
    }

    private let first: any EdgeResponder
    private let later = AtomicLazyReference<Box>()

    package init(first: any EdgeResponder) { self.first = first }

    /// From now on `responder` answers. Only the first call counts.
    package func install(_ responder: any EdgeResponder) { _ = later.storeIfNil(Box(responder)) }

    package func respond(to request: RequestFacts) -> EdgeAction { (later.load()?.responder ?? first).respond(to: request) }
}
