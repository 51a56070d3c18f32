public import AuthCore

/// `gatehouse verdict token`: is this access token good for this audience, now, under these keys?
///
/// Input: `token`, `issuer`, `audience` (a string, a list, or null for any), `now` (seconds), `jwks` (an object); `scope`
/// (a string or a list) and `leeway` (0 to 60 s, 60 by default) may be left out. The answer has `checks`. There are no
/// revocations and no maximum lifetime. A key set that is refused as a whole counts as an empty one.
public enum VerdictToken {
    public static func answer(_ line: JSONObject) -> JSONObject {
        guard let question = Question(line) else { return VerdictCase.invalid(line) }
        let verifier = TokenVerifier(
            rules: TokenRules(issuer: question.issuer, leeway: question.leeway), cacheBytesMax: 0, maxStaleness: .zero
        )
        verifier.setKeys(question.keys)
        var explanation: TokenExplanation? = TokenExplanation()
        let decision = verifier.decide(
            question.token.utf8, for: TokenRequirements(audience: question.audience, scope: question.scope), now: question.now,
            uptime: Uptime(nanoseconds: 0), whenStale: .serve, explaining: &explanation
        )
        var answer =
            switch decision {
            case .accept: VerdictCase.accept(line)
            case .refuse(let reason): VerdictCase.reject(line, reason.rawValue)
            // None is asked for here: unknown keys are refused, staleness is served, and no proof is used up.
            case .ask, .unavailable, .overloaded: VerdictCase.invalid(line)
            }
        answer["checks"] = .array((explanation?.checks ?? []).filter { !$0.name.isSameBytes(as: "freshness") }.map(\.json))
        return answer
    }

    private struct Question {
        let token: String
        let issuer: Identifier
        let audience: AudienceRequirement
        let now: Instant
        let keys: KeySet
        let scope: ScopeSet
        let leeway: Duration

        init?(_ line: JSONObject) {
            guard let token = line["token"]?.string, let issuer = line["issuer"]?.string,
                let audience = line["audience"].flatMap(Question.audience), let now = line["now"]?.number.flatMap(ClaimReader.date),
                let jwks = line["jwks"]?.object
            else { return nil }
            self.token = token
            self.issuer = Identifier(issuer)
            self.audience = audience
            self.now = now
            guard let keys = Question.keys(jwks), let scope = Question.scope(line["scope"]), let leeway = Question.leeway(line["leeway"])
            else { return nil }
            self.keys = keys
            self.scope = scope
            self.leeway = leeway
        }

        private static func audience(_ value: JSONValue) -> AudienceRequirement? {
            switch value {
            case .null: .any
            case .string(let one): .anyOf([Identifier(one)])
            default: value.strings.map { .anyOf($0.map { Identifier($0) }) }
            }
        }

        private static func keys(_ jwks: JSONObject) -> KeySet? {
            do throws(KeySetError) {
                return try KeySet(jwks: jwks)
            } catch {
                return error == .notAKeySet ? nil : .empty
            }
        }

        private static func scope(_ value: JSONValue?) -> ScopeSet? {
            guard let value, !value.isNull else { return ScopeSet.none }
            let text = value.string ?? value.strings?.joined(separator: " ")
            return text.flatMap { ScopeSet(parsing: $0) }
        }

        private static func leeway(_ value: JSONValue?) -> Duration? {
            guard let value, !value.isNull else { return TokenRules.leewayMax }
            guard let seconds = value.int, (0...TokenRules.leewayMax.wholeSeconds).contains(seconds) else { return nil }
            return .seconds(seconds)
        }
    }
}

extension TokenCheck {
    /// `{"name", "expected", "found", "passed"}`: as `/validate` with `explain` and `gatehouse token explain` show it.
    public var json: JSONValue {
        .object(
            JSONObject([
                ("name", .string(name)), ("expected", .string(expected)), ("found", .string(found)), ("passed", .bool(passed)),
            ])
        )
    }
}
