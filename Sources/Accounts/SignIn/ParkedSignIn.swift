internal import AuthCore

/// What of a sign-in is parked. An ended one is not: there is nothing to come back to.
struct ParkedSignIn {
    var account: Identifier
    var accountEpoch: Int64
    var goal: SignInGoal
    var enrolled: [Factor]
    var required: AssuranceLevel
    var startedAt: Instant
    var expiresAt: Instant
    var proofs: [FactorProof]
}

extension SignInState {
    /// The longest JSON that is read back.
    package static let parkedBytesMax = 16_384
    /// The version of the shape. Another one is refused, and the person begins again.
    private static let version: Int64 = 1
    private static let limits = JSONReader.Limits(bytesMax: parkedBytesMax, depthMax: 8, valuesMax: 500)

    /// The sign-in as JSON, to be parked.
    ///
    /// - Returns: Nothing when it has ended, or when its goal makes it longer than `parkedBytesMax`.
    package func parked() -> [UInt8]? {
        guard phase == .open else { return nil }
        var json = JSONWriter()
        json.object {
            $0.member("v", SignInState.version)
            $0.member("account", account.text)
            $0.member("epoch", accountEpoch)
            $0.object("goal") {
                switch goal {
                case .login(let parameters): $0.member("login", .object(parameters))
                case .interaction(let id): $0.member("interaction", id.text)
                }
            }
            $0.member("enrolled", enrolled.map(\.rawValue))
            $0.member("required", required.rawValue)
            $0.member("started_ms", startedAt.milliseconds)
            $0.member("expires_ms", expiresAt.milliseconds)
            $0.array("proofs") { list in
                for proof in proofs {
                    list.object {
                        $0.member("factor", proof.factor.rawValue)
                        $0.member("amr", proof.amr)
                        $0.member("at_ms", proof.at.milliseconds)
                    }
                }
            }
        }
        return json.bytes.count <= SignInState.parkedBytesMax ? json.bytes : nil
    }

    /// Reads back what `parked` wrote. Strict: every member must be there, be of its type and make sense, and no other may be there.
    ///
    /// - Returns: Nothing for anything else.
    package init?(parked bytes: [UInt8]) {
        // Why it is not what we wrote makes no difference.
        guard let object = (try? JSONReader.read(bytes, limits: SignInState.limits))?.object,
            SignInState.has(object, ["v", "account", "epoch", "goal", "enrolled", "required", "started_ms", "expires_ms", "proofs"]),
            object["v"]?.int == SignInState.version, let account = object["account"]?.string, !account.isEmpty,
            let epoch = object["epoch"]?.int, let goal = object["goal"].flatMap(SignInState.goal),
            let enrolled = object["enrolled"]?.strings.flatMap(SignInState.factors),
            let required = object["required"]?.int.flatMap({ AssuranceLevel(rawValue: Int($0)) }),
            let started = object["started_ms"]?.int, let expires = object["expires_ms"]?.int, expires >= started,
            let list = object["proofs"]?.array
        else { return nil }
        var proofs: [FactorProof] = []
        for value in list {
            guard let proof = SignInState.proof(value), enrolled.contains(proof.factor),
                (started...expires) ~= proof.at.milliseconds
            else { return nil }
            proofs.append(proof)
        }
        guard Set(proofs.map(\.factor)).count == proofs.count else { return nil }
        self.init(
            parked: ParkedSignIn(
                account: Identifier(account), accountEpoch: epoch, goal: goal, enrolled: enrolled, required: required,
                startedAt: Instant(milliseconds: started), expiresAt: Instant(milliseconds: expires), proofs: proofs
            )
        )
    }

    private static func has(_ object: JSONObject, _ names: [String]) -> Bool {
        object.count == names.count && names.allSatisfy { object[$0] != nil }
    }

    private static func goal(_ value: JSONValue) -> SignInGoal? {
        guard let object = value.object, object.count == 1 else { return nil }
        if let parameters = object["login"]?.object { return .login(parameters) }
        return object["interaction"]?.string.map { .interaction(Identifier($0)) }
    }

    private static func factors(_ names: [String]) -> [Factor]? {
        let factors = names.compactMap { Factor(rawValue: $0) }
        return factors.count == names.count && Set(factors).count == factors.count ? factors : nil
    }

    private static func proof(_ value: JSONValue) -> FactorProof? {
        guard let object = value.object, has(object, ["factor", "amr", "at_ms"]), let name = object["factor"]?.string,
            let factor = Factor(rawValue: name), let amr = object["amr"]?.strings, amr.count <= FactorProof.amrMax,
            let at = object["at_ms"]?.int
        else { return nil }
        return FactorProof(factor: factor, amr: amr, at: Instant(milliseconds: at))
    }
}
