"""R-4a: two nodes whose PostgreSQL fails over."""

import time

from bounds import Prober
from cluster import Cluster
from node import Broken, quantile
from postgres import Postgres
from writers import QUICK, Writers, wait_valid


class Pair:
    """A primary and a standby that each commit waits for; a context manager, and the database of a `Cluster`."""

    def __init__(self):
        self.primary, self.standby = Postgres(), Postgres()
        self.uri = f"postgres:///postgres?host={self.primary.folder},{self.standby.folder}&port=5432,5432&user=gatehouse"

    def __enter__(self):
        self.primary.__enter__()
        self.attach()
        return self

    def __exit__(self, *_):
        self.primary.__exit__()
        self.standby.__exit__()

    def attach(self):
        """A new standby of the primary; afterwards no commit is answered that it does not have."""
        self.standby.follow(self.primary)
        self.primary.sql("ALTER SYSTEM SET synchronous_standby_names = '*'")
        self.primary.sql("SELECT pg_reload_conf()")
        limit = time.monotonic() + 60
        while self.primary.sql("SELECT sync_state FROM pg_stat_replication") != "sync":
            if time.monotonic() > limit:
                raise Broken("the standby does not follow")
            time.sleep(0.05)

    def fail_over(self):
        """Kills the primary and promotes the standby; the moment at which it was promoted."""
        self.primary.kill()
        self.standby.promote()
        self.primary, self.standby = self.standby, self.primary
        return time.monotonic()


def failover(minutes):
    """R-4a: the primary is killed and the standby promoted, again and again, under sign-ins, refreshes and decisions on both nodes."""
    seconds, faults, checks = [], [], 0
    pair = Pair()
    ended = time.monotonic() + max(40, minutes * 60)
    with Cluster(2, QUICK, postgres=pair) as cluster:
        with Writers(cluster.nodes) as writers:
            while time.monotonic() < ended and not writers.wrong and not faults:
                token = cluster.nodes[0].login()["access_token"]
                wait_valid(cluster.nodes, token)
                with Prober(cluster.nodes[0], token) as first, Prober(cluster.nodes[1], token) as second:
                    time.sleep(1)
                    promoted = pair.fail_over()
                    seconds.append(writers.first_after(promoted))
                    time.sleep(0.5)
                faults += first.faults + second.faults
                checks += 2 * (len(first.seconds) + len(second.seconds))
                pair.attach()
        lost = list(writers.lost(cluster.nodes))
        for node in cluster.nodes:
            node.check_runs()
    p99 = quantile(seconds, 0.99)
    problems = lost[:5] + faults[:5] + writers.wrong[:5]
    if p99 > 10:
        problems.append(f"sign-ins only {p99:.1f} s after a promotion")
    figures = (
        f"{len(seconds)} failovers, sign-ins on both nodes {quantile(seconds, 0.5):.2f} s after the promotion (median; longest "
        f"{max(seconds):.2f}); {writers.total('sign_ins')} sign-ins, {writers.total('ended')} sign-outs, {len(lost)} lost; "
        f"{writers.refusals} × 503; {checks} decisions, {len(faults)} failed")
    return not problems, figures, problems
