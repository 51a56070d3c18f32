"""Opens JWEs that Gatehouse has made with joserfc, for JWETests: keys and cases as JSON on standard input."""

import json
import sys

import joserfc.errors
import joserfc.jwe
import joserfc.jwk


def altered(text):
    """The same with another bit in the last part but one that is not empty, and in the tag."""
    for place in (3, 4):
        parts = text.split(".")
        first = parts[place][0]
        parts[place] = ("B" if first == "A" else "A") + parts[place][1:]
        yield ".".join(parts)


def main():
    data = json.load(sys.stdin)
    keys = {
        name: joserfc.jwk.RSAKey.import_key(key) if isinstance(key, str) else joserfc.jwk.ECKey.import_key(key)
        for name, key in data["keys"].items()
    }
    opened = refused = 0
    for case in data["cases"]:
        key, names = keys[case["key"]], [case["alg"], case["enc"]]
        found = joserfc.jwe.decrypt_compact(case["jwe"], key, algorithms=names)
        assert found.plaintext == data["plain"].encode(), case
        assert found.protected["cty"] == "JWT", case
        opened += 1
        bad = 0
        for text in altered(case["jwe"]):
            try:
                joserfc.jwe.decrypt_compact(text, key, algorithms=names)
            except (joserfc.errors.JoseError, ValueError):
                bad += 1
        refused += bad == 2
    print(f"{opened} opened, {refused} altered ones refused")


if __name__ == "__main__":
    main()
