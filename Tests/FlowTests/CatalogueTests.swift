import Accounts
import AuthCore
import Gateway
import HTTPEdge
import OAuthServer
import ProxyServer
import Testing
import TokenVerification

@testable import gatehouse

@Suite("docs/errors.md names every reason")
struct CatalogueTests {
    @Test("each reason of each closed set has its row, once")
    func complete() {
        var reasons = TokenRefusal.allCases.map(\.rawValue) + DPoPProofError.allCases.map(\.rawValue)
        reasons += OAuthError.Reason.allCases.map(\.rawValue)
        reasons +=
            PasswordRefusal.allCases.map(\.rawValue) + IdentifierRefusal.allCases.map(\.rawValue) + SignInRefusal.allCases.map(\.rawValue)
        reasons += HeadFailure.allCases.map(\.rawValue) + ProxyFailure.allCases.map(\.rawValue) + TargetFault.allCases.map(\.rawValue)
        reasons += OutgoingError.allCases.map(\.rawValue)
        for reason in reasons { #expect(ErrorCatalogue.slugs.contains(reason), "\(reason)") }
        let rows = ErrorCatalogue.sections.flatMap { $0.rows.map(\.slug) }
        #expect(rows.count == Set(rows).count)
    }
}
