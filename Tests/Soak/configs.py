"""R-22: faulty settings and resource files: refused with the place named, or of the same meaning; a running server goes on."""

import os
import random
import re
import signal
import subprocess
import time

from node import ALICE, BINARY, Broken, Node

SEED = 22
# What an operator does to a file by mistake: a place in it, and whether the file then still means the same.
HARMLESS = [
    ("a comment", lambda text, r: insert_line(text, r, "# nothing")),
    ("an empty line", lambda text, r: insert_line(text, r, "")),
    ("blanks at the end of a line", lambda text, r: at_line(text, r, lambda line: line + "   ")),
    ("lines that end as on Windows", lambda text, r: text.replace("\n", "\r\n")),
]
FAULTY = [
    ("a letter of a key is missing", lambda text, r: in_key(text, r, lambda key, i: key[:i] + key[i + 1:])),
    ("two letters of a key are exchanged", lambda text, r: in_key(text, r, lambda key, i: key[:i] + key[i:i + 2][::-1] + key[i + 2:])),
    ("a key has a letter more", lambda text, r: in_key(text, r, lambda key, i: key[:i] + "q" + key[i:])),
    ("an unknown key", lambda text, r: text + f"k{r.randrange(1000)}: 1\n"),
    ("a key twice", lambda text, r: text + r.choice([line for line in text.splitlines() if re.match(r"^[a-z_]+: .", line)] or ["a: 1\na: 2"]) + "\n"),
    ("a tab", lambda text, r: at_line(text, r, lambda line: "\t" + line, r"^ +")),
    ("a bracket is missing", lambda text, r: drop(text, r, "]}")),
    ("the file is cut in a list", lambda text, r: text[:r.choice([i for i, c in enumerate(text) if c in "[{"]) + 1]),
    ("bytes that are no text", lambda text, r: at_line(text, r, lambda line: line + " \x00", r"^[^#]+$")),
    ("not UTF-8", lambda text, r: at_line(text, r, lambda line: line + " \udcff", r"^[^#]+$")),
    ("an alias", lambda text, r: value(text, r, "*nothing")),
    ("a list for a word", lambda text, r: value(text, r, "[[a]]")),
    ("a map for a word", lambda text, r: value(text, r, "{a: {b: c}}")),
    ("an open quote", lambda text, r: value(text, r, '"')),
]
SETTINGS = ["tokens: {access_ttl: soon}", "tokens: {access_ttl: 400d}", "tokens: {access_ttl: -1m}", "audit: {keep: 5}", "validate: {require_client: maybe}",
            "trusted_proxies: [10.0.0.0/99]", "passwords: {memory_kib: 1}", "log: {level: loud}", "keys: {algorithm: none}",
            "revocations: {when_stale: hope}", "shutdown: {drain: 20}", "tokens: 5m", "keys: {rotate_every: 1m, jwks_max_age: 1d}"]


def lines_like(text, pattern):
    return [number for number, line in enumerate(text.split("\n")) if re.search(pattern, line)]


def at_line(text, r, change, pattern=r"\S"):
    lines = text.split("\n")
    number = r.choice(lines_like(text, pattern))
    lines[number] = change(lines[number])
    return "\n".join(lines)


def insert_line(text, r, line):
    lines = text.split("\n")
    lines.insert(r.randrange(len(lines)), line)
    return "\n".join(lines)


def in_key(text, r, change):
    """A key of block style, changed so that it is another word."""
    keys = [match for match in re.finditer(r"^ *(?:- )?([a-z_]{4,}):", text, re.MULTILINE)]
    match = r.choice(keys)
    key = match[1]
    # Roles are names of their own: any word is right there.
    places = [i for i in range(len(key) - 1) if change(key, i) != key]
    changed = change(key, r.choice(places))
    return text[:match.start(1)] + changed + text[match.end(1):]


def drop(text, r, letters):
    place = r.choice([i for i, letter in enumerate(text) if letter in letters])
    return text[:place] + text[place + 1:]


def value(text, r, new):
    lines = lines_like(text, r"^ *(?:- )?[a-z_]+: [^\[{#]+$") or lines_like(text, r"^[a-z_]+: ")
    parts = text.split("\n")
    number = r.choice(lines)
    parts[number] = parts[number].split(": ", 1)[0] + ": " + new
    return "\n".join(parts)


def is_name(before, after):
    """Whether the only difference is a name that the file itself chooses (a role)."""
    changed = [line for line in after.split("\n") if line not in before.split("\n")]
    return all(re.match(r"^  [a-z_]+: \[[a-z:, ]+\]$", line) for line in changed)


def checked(node):
    done = subprocess.run([BINARY, "check-config", "--config", node.config], capture_output=True, text=True, errors="replace", timeout=30, check=False)
    # What a setting is, not where it stands.
    return done.returncode, re.sub(r"  \([^)]*\)$", "", done.stdout, flags=re.MULTILINE), done.stderr


def configs(minutes):
    """R-22: 200 mutations of the quick start's files."""
    count = max(200, min(2_000, int(minutes * 400)))
    r = random.Random(SEED)
    problems, accepted, refused = [], 0, 0
    with Node("log: {level: info}\n") as node:
        files = {name: os.path.join(node.folder, name) for name in ("gatehouse.yaml", "resources.yaml")}
        texts = {}
        for name, path in files.items():
            with open(path, encoding="utf-8") as file:
                texts[name] = file.read()
        same = checked(node)[1]
        mutations = []
        for number in range(count):
            name = r.choice(list(files))
            if number % 10 == 0:
                mutations.append((r.choice(HARMLESS), name, True))
            elif number % 10 == 1:
                line = r.choice(SETTINGS)
                mutations.append(((line, lambda text, r, line=line: text + line + "\n"), "gatehouse.yaml", False))
            else:
                mutations.append((r.choice(FAULTY), name, False))
        for (what, change), name, harmless in mutations:
            mutated = change(texts[name], r)
            write(files[name], mutated)
            status, shown, errors = checked(node)
            if status == 0:
                accepted += 1
                if shown != same or not harmless and not is_name(texts[name], mutated):
                    problems.append(f"{name}, {what}: accepted, though it may mean something else\n{difference(texts[name], mutated)}")
            else:
                refused += 1
                if harmless:
                    problems.append(f"{name}, {what}: refused: {errors[-300:]}")
                if status != 1 or not re.search(re.escape(name) + r":\d+", errors):
                    problems.append(f"{name}, {what}: status {status}, and no place is named: {errors[-300:]}")
            write(files[name], texts[name])
        # Now under a server that runs: what is faulty is told and changes nothing.
        told = 0
        for number in range(min(20, count // 10)):
            what, change = r.choice(FAULTY)
            mutated = change(texts["resources.yaml"], r)
            if is_name(texts["resources.yaml"], mutated):
                continue
            before = node.log.count("resources_refused")
            write(files["resources.yaml"], mutated)
            node.process.send_signal(signal.SIGHUP)
            limit = time.monotonic() + 10
            while node.log.count("resources_refused") == before and time.monotonic() < limit:
                time.sleep(0.02)
            node.check_runs()
            if node.log.count("resources_refused") == before:
                problems.append(f"reload, {what}: nothing was told\n{difference(texts['resources.yaml'], mutated)}")
            told += 1
            node.login()
        write(files["resources.yaml"], texts["resources.yaml"])
    figures = f"{count} mutations (seed {SEED}): {refused} refused with their place, {accepted} of the same meaning; {told} reloads of faulty files told, and served on"
    return not problems, figures, [line for problem in problems for line in problem.split("\n")]


def write(path, text):
    with open(path, "w", encoding="utf-8", errors="surrogateescape", newline="") as file:
        file.write(text)


def difference(before, after):
    was = before.split("\n")
    return "\n".join(f"    {line!r}" for line in after.split("\n") if line not in was)[:300]
