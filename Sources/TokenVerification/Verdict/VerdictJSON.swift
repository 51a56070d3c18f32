public import AuthCore

/// `gatehouse verdict json`: is this JSON that Gatehouse reads? The reasons are those of `JSONError`.
///
/// Input: `bytes_b64`, in standard base64 with padding.
public enum VerdictJSON {
    public static func answer(_ line: JSONObject) -> JSONObject {
        guard let text = line["bytes_b64"]?.string, let bytes = Base64.decode(text.utf8) else { return VerdictCase.invalid(line) }
        do throws(JSONError) {
            _ = try JSONReader.read(bytes)
            return VerdictCase.accept(line)
        } catch {
            return VerdictCase.reject(line, error.rawValue)
        }
    }
}
