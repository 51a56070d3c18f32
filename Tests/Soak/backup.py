"""R-16: a base backup is taken while people write, the server is lost some time after it, and the backup is put in its place."""

import subprocess
import time

from cluster import Cluster
from node import BINARY, Broken
from postgres import Postgres
from writers import QUICK, Writers

WRITERS = 6
# Written before the backup, and ended after it, at least.
SIGN_INS_MIN = 40
ENDED_MIN = 5


class Replaced:
    """The database of a `Cluster`, whose server is replaced by a backup of it; a context manager."""

    def __init__(self):
        self.server, self.other = Postgres(), Postgres()

    def __enter__(self):
        self.server.__enter__()
        return self

    def __exit__(self, *_):
        self.server.__exit__()
        self.other.__exit__()

    @property
    def uri(self):
        return self.server.uri

    def back_up(self):
        """Seconds that it took."""
        started = time.monotonic()
        self.other.back_up(self.server)
        return time.monotonic() - started

    def replace(self, node):
        """The server is gone, with all that came after the backup. Seconds until the backup takes connections."""
        self.server.kill()
        started, gone = time.monotonic(), self.server
        self.other.start()
        self.server, self.other = self.other, gone
        with open(node.config, encoding="utf-8") as file:
            text = file.read()
        if gone.uri not in text:
            raise Broken("the settings do not name the database")
        with open(node.config, "w", encoding="utf-8") as file:
            file.write(text.replace(gone.uri, self.server.uri))
        return time.monotonic() - started


class Seen:
    """What writers had been answered at a moment."""

    def __init__(self, writers):
        self.kept = {session: state for writer in writers.all for session, state in list(writer.kept.items())}
        self.ended = {session: (token, access) for writer in writers.all for session, token, access in list(writer.ended)}
        self.unsure = {session for writer in writers.all for session in list(writer.unsure)}


def wait(condition, what):
    limit = time.monotonic() + 60
    while not condition():
        if time.monotonic() > limit:
            raise Broken(f"within a minute there were not {what}")
        time.sleep(0.05)


def refusals(node, tokens):
    """(refresh tokens that are refused, access tokens that are not valid) of pairs; a pair may have only one of them."""
    refused = invalid = 0
    with node.client() as client:
        for refresh, access in tokens:
            status, answer = client.call("POST", "/token/refresh", {"refresh_token": refresh})
            if status not in (200, 401):
                raise Broken(f"a refresh was answered {status}: {answer}")
            refused += status == 401
            if access is not None:
                invalid += client.call("POST", "/validate", {"token": access})[1].get("valid") is False
    return refused, invalid


def one(problems):
    """One backup, one restore. What was counted, by name."""
    database, counts = Replaced(), {}
    with Cluster(1, QUICK, postgres=database) as cluster:
        node = cluster.nodes[0]
        with Writers(cluster.nodes, count=WRITERS, pause=0) as writers:
            wait(lambda: writers.total("sign_ins") >= SIGN_INS_MIN, "sign-ins before the backup")
            before, written = Seen(writers), writers.total("sign_ins")
            counts["backup"] = database.back_up()
            during = (writers.total("sign_ins") - written) / counts["backup"]
            after = Seen(writers)
            wait(lambda: writers.total("ended") >= len(after.ended) + ENDED_MIN, "sign-outs after the backup")
        last = Seen(writers)
        problems += writers.wrong[:5]
        node.stop()
        counts["start"] = database.replace(node)
        # A sign-in of a writer is four writes and a bit: it refreshes three times, and each fourth signs out.
        counts["writes"] = during * 4.25

        # What was answered before the backup began is in it, and what was ended stays ended.
        node.start()
        untouched = [(token, None) for session, (token, count) in before.kept.items()
                     if count == 4 and last.kept.get(session) == (token, count) and session not in last.unsure]
        ended_before = list(before.ended.values())
        ended_after = [pair for session, pair in last.ended.items() if session not in after.ended]
        refused, _ = refusals(node, untouched)
        if refused or len(untouched) < 5:
            problems.append(f"{refused} of {len(untouched)} sessions from before the backup are gone")
        found = refusals(node, ended_before)
        if found != (len(ended_before), len(ended_before)) or not ended_before:
            problems.append(f"of {len(ended_before)} sessions that were ended before the backup {found} are refused")
        # What was ended after it is in force again: nobody remembers, and this is what `restored` is for.
        counts["back"] = len(ended_after) - refusals(node, ended_after)[1]
        if not counts["back"]:
            problems.append("nothing came back with the backup, so the next check shows nothing")
        fresh = node.login()
        node.stop()

        started = time.monotonic()
        done = subprocess.run(
            [BINARY, "restored", "--yes", "--config", node.config], cwd=node.folder, env=node.environment, capture_output=True, text=True,
            check=False)
        counts["restored"] = time.monotonic() - started
        if done.returncode != 0:
            raise Broken(f"gatehouse restored: {done.stderr}")
        node.start()
        everything = ([(token, None) for token, _ in last.kept.values()] + list(last.ended.values())
                      + [(fresh["refresh_token"], fresh["access_token"])])
        refused, invalid = refusals(node, everything)
        judged = sum(access is not None for _, access in everything)
        if (refused, invalid) != (len(everything), judged):
            problems.append(f"after restored {len(everything) - refused} refresh tokens and {judged - invalid} access tokens work")
        again = node.login()
        if refusals(node, [(again["refresh_token"], again["access_token"])]) != (0, 0):
            problems.append("a new sign-in does not work after restored")
        node.check_runs()
        counts |= {"untouched": len(untouched), "ended": len(ended_before), "everything": len(everything)}
    return counts


def backup(minutes):
    """R-16: again and again, each time with a new database."""
    ends_at, rounds, problems = time.monotonic() + minutes * 60, [], []
    while not rounds or (time.monotonic() < ends_at and not problems):
        rounds.append(one(problems))

    def total(name):
        return sum(counts[name] for counts in rounds)

    def longest(name):
        return max(counts[name] for counts in rounds)

    figures = (
        f"{len(rounds)} backups under {total('writes') / len(rounds):.0f} writes/s, each within {longest('backup'):.1f} s, in place after "
        f"{longest('start'):.1f} s at most; {total('untouched')} sessions from before were there, {total('ended')} ended ones stayed so, "
        f"{total('back')} ended later came back; restored took {longest('restored'):.2f} s, then none of {total('everything')} worked")
    return not problems, figures, problems
