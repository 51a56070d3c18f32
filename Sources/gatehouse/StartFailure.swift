import Store
import TokenKeys

/// Why the server does not start, in one sentence for the operator.
struct StartFailure: Error, CustomStringConvertible {
    let description: String
    /// Whether it may pass without anything being changed here: the store does not answer now, or refuses this program.
    let mayPass: Bool

    init(_ description: String) {
        self.description = description
        mayPass = false
    }

    /// - Parameter what: What could not be done.
    init(_ what: String, _ error: StoreError) {
        switch error {
        case .unavailable, .overloaded, .outcomeUnknown: mayPass = true
        case .corrupt, .unusable: mayPass = false
        }
        description = "\(what): \(error.sentence)"
    }

    /// Why a store could not be opened.
    init(opening error: any Error) {
        let what = "the store cannot be used"
        switch error {
        case let failure as StartFailure: self = failure
        case StoreError.unusable(let sentence): self.init(sentence)
        case let error as StoreError: self.init(what, error)
        case SigningKeysError.store(let error): self.init(what, error)
        default: self.init("\(what): \(error)")
        }
    }
}
