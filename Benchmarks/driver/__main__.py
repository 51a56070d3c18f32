"""`make bench`: Gatehouse and its peers side by side, one row at a time, as one table.

    BENCH_SECONDS=5       seconds of load for each row (after a second of warm-up)
    BENCH_ONLY=REGEX      only the rows whose group or name matches
    BENCH_CONNECTIONS=64  connections of the load
    BENCH_GATEHOUSE=PATH  another binary

The server runs on core 0; the load, the service behind the proxies and this driver share core 1. All on loopback, all stopped
at the end. Ends with status 1 when a row could not be measured; a budget that is missed is printed, and is no failure.
"""

import os
import re
import shutil
import signal
import sys
import tempfile

import gatehouse
import report
import rows
from load import CONNECTIONS
from processes import LOAD_CORE, SERVER_CORE, BenchError


def main():
    if (os.cpu_count() or 1) < 2:
        sys.exit("bench: needs two cores, one for the server and one for the load")
    try:
        seconds = int(os.environ.get("BENCH_SECONDS", "5"))
        only = re.compile(os.environ.get("BENCH_ONLY", ""))
    except (ValueError, re.error) as error:
        sys.exit(f"bench: BENCH_SECONDS or BENCH_ONLY: {error}")
    if not 1 <= seconds <= 60:
        sys.exit("bench: BENCH_SECONDS is 1…60")
    os.sched_setaffinity(0, {LOAD_CORE})
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    results = os.path.join(root, ".bench")
    os.makedirs(results, exist_ok=True)
    facts = report.conditions(seconds, CONNECTIONS)
    print(f"server on core {SERVER_CORE}, load on core {LOAD_CORE}, {seconds} s a row, {facts['cpu']}")
    if facts["load_average_before"] > 0.5:
        print(f"the machine is not quiet (load average {facts['load_average_before']}): read ratios, not figures")
    if not gatehouse.is_built():
        print(f"no binary at {gatehouse.BINARY}: only the peers are measured")

    measured = []
    directory = tempfile.mkdtemp(prefix="run-", dir=results)
    try:
        for row in rows.all_rows(directory, seconds):
            if not only.search(row.group) and not only.search(row.name):
                continue
            if row.needs_gatehouse and not gatehouse.is_built():
                continue
            print(f"  {row.group}: {row.name} …", flush=True)
            try:
                figures = row.measure()
            except (BenchError, OSError) as error:
                figures = {"error": str(error)}
            measured.append({"group": row.group, "name": row.name, **figures})
    finally:
        shutil.rmtree(directory)

    entries = report.budgets(measured)
    print("\n" + report.table(measured) + "\n\n" + report.budget_table(entries))
    print("\nwritten to " + os.path.relpath(report.write(results, measured, entries, facts), root))
    if not measured or any("error" in row for row in measured):
        sys.exit(1)


main()
