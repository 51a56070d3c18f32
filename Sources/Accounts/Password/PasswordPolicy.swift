internal import AuthCore

/// Why a password may not be set.
package enum PasswordRefusal: String, Error, Sendable, Equatable, CaseIterable {
    /// It holds a control character (NUL, TAB, a line break, …).
    case invalid = "password_invalid"
    case tooLong = "password_too_long"
    case tooShort = "password_too_short"
    /// It is, or plainly rests on, a common password, a run, or the name of this service.
    case common = "password_common"
    /// It contains the user name or the e-mail address.
    case containsUsername = "password_contains_username"
}

/// Which passwords may be set (NIST SP 800-63B-4 §3.1.1.2; PW-01…PW-05). Never asked when one is checked.
///
/// There are no rules of composition and no expiry. Lengths are counted in code points of the normal form. Comparisons with
/// words fold the case of every script.
///
/// A password is *common* when
/// - it is in the embedded list of 10 000, in any case of its ASCII letters;
/// - it is an entry of that list of at least 4 letters with digits and signs around it, where these are no more than the
///   letters, or are themselves a run or a repetition (`password1234567`);
/// - up to 32 code points: it is one piece of at most 4 code points, or one common password, over and over, or a run such
///   as `abcdefghijklmnop` or `9876543210987654`;
/// - without the name of this service and the host of the issuer, fewer than 8 code points remain of it, or a run.
///
/// It *contains the user name* when the name, the e-mail address or its local part occurs in it and has at least 4 code points;
/// for a shorter one, when fewer than 8 code points remain without it.
package struct PasswordPolicy: Sendable {
    package static let lengthMinRange = 8...64
    package static let lengthMax = 256
    /// For a password that is the only factor.
    package static let lengthMinDefault = 15
    /// Up to this length a repetition or a run is in every attacker's list.
    private static let patternLengthMax = 32
    /// What must be left of a password without the words of its context.
    private static let remainderMin = 8
    private static let wordMin = 4

    package let lengthMin: Int
    private let serviceWords: [[UInt32]]

    /// - Parameters:
    ///   - lengthMin: In code points; brought into 8…64.
    ///   - issuerHost: The host name of the issuer. With the name of this service it makes the context.
    package init(lengthMin: Int = PasswordPolicy.lengthMinDefault, issuerHost: String? = nil) {
        self.lengthMin = min(max(lengthMin, PasswordPolicy.lengthMinRange.lowerBound), PasswordPolicy.lengthMinRange.upperBound)
        serviceWords = ["gatehouse", issuerHost].compactMap { $0 }.map(PasswordPolicy.folded).filter { $0.count >= PasswordPolicy.wordMin }
    }

    /// The first rule that `password` breaks, in the order of `PasswordRefusal`; nothing when it may be set.
    ///
    /// - Parameters:
    ///   - username: Of the account, in any form.
    ///   - email: Of the account, in any form.
    package func refusal(of password: Password, username: String?, email: String?) -> PasswordRefusal? {
        if password.isTooLong { return .tooLong }
        guard let text = String(validating: password.normal.exposed, as: UTF8.self) else { return .invalid }
        if text.unicodeScalars.contains(where: { $0.properties.generalCategory == .control }) { return .invalid }
        let length = text.unicodeScalars.count
        if length > PasswordPolicy.lengthMax { return .tooLong }
        if length < lengthMin { return .tooShort }
        let folded = PasswordPolicy.folded(text)
        if PasswordPolicy.isCommon(folded) { return .common }
        for word in serviceWords where PasswordPolicy.rests(folded, on: word) { return .common }
        let local = email.flatMap { $0.utf8.lastIndex(of: UInt8(ascii: "@")).map { at in String(email?[..<at] ?? "") } }
        for name in [username, email, local] {
            guard let name, !name.isEmpty else { continue }
            // The bound keeps the search linear in what a request may hold.
            let word = PasswordPolicy.folded(String(name.prefix(PasswordPolicy.lengthMax)))
            if word.count >= PasswordPolicy.wordMin ? folded.contains(word) : PasswordPolicy.rests(folded, on: word) {
                return .containsUsername
            }
        }
        return nil
    }

    private static func folded(_ text: String) -> [UInt32] {
        Normalization.composed(text).unicodeScalars.flatMap { $0.properties.lowercaseMapping.unicodeScalars.map(\.value) }
    }

    /// Whether `word` occurs and too little is left without it.
    private static func rests(_ password: [UInt32], on word: [UInt32]) -> Bool {
        guard !word.isEmpty else { return false }
        var rest: [UInt32] = []
        var position = 0
        var found = false
        while position < password.count {
            if password[position...].starts(with: word) {
                position += word.count
                found = true
            } else {
                rest.append(password[position])
                position += 1
            }
        }
        return found && (rest.count < remainderMin || isPattern(rest))
    }

    private static func isCommon(_ password: [UInt32]) -> Bool {
        if CommonPasswords.contains(password) { return true }
        if password.count <= patternLengthMax, isPattern(password) { return true }
        if password.count <= patternLengthMax, let piece = repeatedPiece(password), CommonPasswords.contains(piece) { return true }
        guard let first = password.firstIndex(where: isLetter), let last = password.lastIndex(where: isLetter) else { return false }
        let core = Array(password[first...last])
        let around = Array(password[..<first] + password[(last + 1)...])
        return core.count >= wordMin && (around.count <= core.count || isPattern(around)) && CommonPasswords.contains(core)
    }

    /// A run, or a short piece over and over.
    private static func isPattern(_ text: [UInt32]) -> Bool {
        if let piece = repeatedPiece(text), piece.count <= wordMin { return true }
        return text.count > 1 && (isRun(text, step: 1) || isRun(text, step: -1))
    }

    /// The shortest piece whose repetition (the last one perhaps cut) is the text; nothing when it does not come twice.
    private static func repeatedPiece(_ text: [UInt32]) -> [UInt32]? {
        guard text.count >= 2 else { return nil }
        for length in 1...(text.count / 2) where text.indices.dropFirst(length).allSatisfy({ text[$0] == text[$0 - length] }) {
            return Array(text[..<length])
        }
        return nil
    }

    /// Whether each character follows the one before; after 9 comes 0, and before 0 comes 9.
    private static func isRun(_ text: [UInt32], step: Int64) -> Bool {
        zip(text, text.dropFirst()).allSatisfy { previous, next in
            let (previous, next) = (Int64(previous), Int64(next))
            return next == previous + step || (step == 1 && previous == 0x39 && next == 0x30)
                || (step == -1 && previous == 0x30 && next == 0x39)
        }
    }

    /// A letter of ASCII, or anything outside it: what the entries of the list are made of in their middle.
    private static func isLetter(_ value: UInt32) -> Bool { (0x61...0x7A) ~= value || value >= 0x80 }
}
