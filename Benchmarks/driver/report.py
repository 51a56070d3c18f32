"""The table, the budgets as ratios, and the JSON file."""

import json
import os
import platform
import subprocess
import time

COLUMNS = [("requests/s", "per_second"), ("p50 ms", "p50_ms"), ("p99 ms", "p99_ms"), ("CPU µs", "cpu_us"), ("MB", "resident_mb")]

# Of the rows that have them.
MORE_COLUMNS = [("DB CPU µs", "database_us"), ("statements", "statements"), ("commits", "transactions"), ("WAL bytes", "wal_bytes")]


def table(rows):
    """Rows grouped as they were declared; a row that could not be measured says why in place of its figures."""
    lines, group = [], None
    width = max((len(row["name"]) for row in rows), default=0)
    for row in rows:
        if row["group"] != group:
            group = row["group"]
            own = {key for other in rows if other["group"] == group for key in other}
            columns = [column for column in COLUMNS + MORE_COLUMNS if column in COLUMNS or column[1] in own]
            lines += ["", f"{group:{width}}  " + "".join(f"{title:>12}" for title, _ in columns), "-" * (width + 2 + 12 * len(columns))]
        if "error" in row:
            lines.append(f"{row['name']:{width}}  FAILED: {row['error']}")
        else:
            figures = "".join(f"{_shown(row.get(key)):>12}" for _, key in columns)
            lines.append(f"{row['name']:{width}}  {figures}" + (f"  {row['note']}" if "note" in row else ""))
    return "\n".join(lines[1:])


def _shown(value):
    if value is None:
        return ""
    return f"{value:,.0f}" if value >= 1000 else f"{value:g}"


def budgets(rows):
    """Each budget: its name, the ratio or figure, the bound, and pass, miss or not measured."""
    figures = {row["name"]: row for row in rows if "error" not in row}

    def figure(name, key):
        return figures.get(name, {}).get(key)

    validate, proxied = figure("gatehouse /validate", "cpu_us"), figure("gatehouse, known token", "cpu_us")
    verify = figure("bare ES256 verification", "cpu_us")
    first = figure("gatehouse, token seen first", "cpu_us")
    paced = figure("gatehouse, known token at that pace", "cpu_us")
    extra = first - paced if None not in (first, paced) else None
    argon2, login = figure("bare Argon2id", "cpu_us"), figure("gatehouse /login", "cpu_us")
    start = figures.get("gatehouse, existing database", {})
    entries = [
        _ratio("/validate CPU ÷ bare NIO", validate, figure("bare NIO, fixed answer", "cpu_us"), 1.35),
        _ratio(
            "/validate throughput ÷ Flask", figure("gatehouse /validate", "per_second"), figure("Flask + PyJWT", "per_second"), 20,
            at_least=True,
        ),
        _ratio("gateway CPU ÷ plain Envoy", proxied, figure("Envoy, plain", "cpu_us"), 1.0),
        _ratio("gateway CPU ÷ plain nginx (aim)", proxied, figure("nginx, plain", "cpu_us"), 1.5),
        _ratio("first sight of a token ÷ bare verification", extra, verify, 1.15),
        _ratio("Argon2id's share of a login's CPU", argon2, login, 0.95, at_least=True),
        _ratio("ready from start, ms", start.get("ready_ms"), 1, 150),
        _ratio("resident idle, MB", start.get("resident_mb"), 1, 40),
    ]
    return entries + _oauth_budgets(figure)


def _oauth_budgets(figure):
    def faster(name, bound):
        ours, peer = figure(f"gatehouse, {name}", "per_second"), figure(f"glewlwyd, {name}", "per_second")
        return _ratio(f"{name}, throughput ÷ glewlwyd", ours, peer, bound, at_least=True)

    token, sign = figure("gatehouse, client_credentials", "cpu_us"), figure("bare ES256 signature", "cpu_us")
    proved, plain = figure("gatehouse, DPoP proof each time", "cpu_us"), figure("gatehouse, known token", "cpu_us")
    verify = figure("bare ES256 verification", "cpu_us")
    proof_bound = 2 * verify + plain if None not in (verify, plain) else None
    entries = [
        faster("client_credentials", 10),
        _ratio("client_credentials CPU ÷ (bare signature + 100 µs)", token, sign + 100 if sign else None, 1),
        faster("refresh at /token", 10),
        faster("introspection", 20),
    ]
    for what in ("discovery", "JWKS"):
        ours, bare = figure(f"gatehouse, {what}", "cpu_us"), figure(f"bare NIO, as long as {what}", "cpu_us")
        entries.append(_ratio(f"{what} CPU ÷ bare NIO", ours, bare, 1.3))
    return entries + [_ratio("DPoP CPU ÷ (two bare verifications + known token)", proved, proof_bound, 1)]


def _ratio(name, value, base, bound, at_least=False):
    entry = {"name": name, "bound": ("≥ " if at_least else "≤ ") + f"{bound:g}"}
    if value is None or not base:
        return {**entry, "verdict": "not measured"}
    ratio = value / base
    met = ratio >= bound if at_least else ratio <= bound
    return {**entry, "value": round(ratio, 3), "verdict": "pass" if met else "miss"}


def budget_table(entries):
    width = max(len(entry["name"]) for entry in entries)
    lines = [f"{'budget':{width}}{'measured':>12}{'bound':>10}  verdict", "-" * (width + 32)]
    for entry in entries:
        lines.append(f"{entry['name']:{width}}{_shown(entry.get('value')):>12}{entry['bound']:>10}  {entry['verdict']}")
    return "\n".join(lines)


def _first_line(command):
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return "unknown"
    lines = (done.stdout + done.stderr).strip().splitlines()
    return lines[0].strip() if lines else "unknown"


def conditions(seconds, connections):
    """What a reader needs to judge the figures."""
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        models = [line.partition(":")[2].strip() for line in file if line.startswith("model name")]
    venv = os.path.join(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))), ".tools/venv/bin")
    envoy = _first_line([f"{venv}/envoy", "--version"]).split("/")
    return {
        "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "cpu": models[0] if models else platform.machine(),
        "cores": os.cpu_count(),
        "kernel": platform.release(),
        "load_average_before": round(os.getloadavg()[0], 2),
        "seconds_per_row": seconds,
        "connections": connections,
        "commit": _first_line(["git", "describe", "--always", "--dirty", "--abbrev=12"]),
        "swift": _first_line(["swift", "--version"]),
        "nginx": _first_line(["nginx", "-v"]),
        "haproxy": _first_line(["haproxy", "-v"]),
        "envoy": envoy[1] if len(envoy) > 1 else "unknown",
        "traefik": _first_line([f"{venv}/traefik", "version"]).partition(":")[2].strip(),
        "glewlwyd": _first_line(["glewlwyd", "--version"]),
        "wrk": _first_line(["wrk", "-v"]),
    }


def write(directory, rows, entries, facts):
    """The run as JSON, under its time and as latest.json; the path."""
    path = os.path.join(directory, facts["at"].replace(":", "") + ".json")
    for target in (path, os.path.join(directory, "latest.json")):
        with open(target, "w", encoding="utf-8") as file:
            json.dump({"conditions": facts, "rows": rows, "budgets": entries}, file, indent=2, ensure_ascii=False)
            file.write("\n")
    return path
