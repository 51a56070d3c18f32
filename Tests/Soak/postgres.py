"""A PostgreSQL of an experiment's own, in a temporary folder, as an unprivileged user because it refuses to run as root."""

import ctypes
import glob
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time

from node import Broken, run

USER = "postgres"
CLONE_NEWNET = 0x40000000


class Postgres:
    """One server, reached through a socket in its folder; a context manager. What is answered is durable: fsync is on."""

    def __init__(self, settings=(), namespace=None, rules=()):
        """`namespace`: the network namespace in which it runs. `rules`: lines of pg_hba.conf beside those for its socket."""
        programs = sorted(glob.glob("/usr/lib/postgresql/*/bin"), key=lambda path: int(path.split("/")[-2]))
        if not programs:
            raise Broken("PostgreSQL is not installed: scripts/setup test installs it")
        self.programs, self.settings, self.process = programs[-1], list(settings), None
        self.namespace, self.rules = namespace, list(rules)
        # More words for initdb.
        self.initial = []
        self.folder = tempfile.mkdtemp(prefix="gatehouse-soak-pg-")
        self.data = os.path.join(self.folder, "data")
        if os.geteuid() == 0:
            shutil.chown(self.folder, USER)

    def run_as_user(self):
        """Before a program begins: what it may, and where."""
        run.end_with_parent()
        if self.namespace:
            with open(f"/run/netns/{self.namespace}", "rb") as file:
                if ctypes.CDLL(None).setns(file.fileno(), CLONE_NEWNET) != 0:
                    raise OSError(f"no entry to the namespace {self.namespace}")
        if os.geteuid() == 0:
            user = pwd.getpwnam(USER)
            os.setgroups([])
            os.setgid(user.pw_gid)
            os.setuid(user.pw_uid)
            run.end_with_parent()

    def __enter__(self):
        subprocess.run(
            [f"{self.programs}/initdb", "-D", self.data, "-U", "gatehouse", "-A", "trust", "-E", "UTF8", "--locale=C", *self.initial],
            check=True, capture_output=True, preexec_fn=self.run_as_user, cwd="/",
        )
        with open(os.path.join(self.data, "pg_hba.conf"), "a", encoding="ascii") as file:
            file.write("".join(rule + "\n" for rule in self.rules))
        self.start()
        return self

    def launch(self):
        """Starts it and does not wait."""
        options = ["listen_addresses=", f"unix_socket_directories={self.folder}", "max_connections=300", "shared_buffers=128MB",
                   "log_min_messages=fatal", *self.settings]
        command = [f"{self.programs}/postgres", "-D", self.data] + [word for option in options for word in ("-c", option)]
        with open(os.path.join(self.folder, "log"), "ab") as log:
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, preexec_fn=self.run_as_user, cwd="/", start_new_session=True)

    def start(self):
        self.launch()
        limit = time.monotonic() + 60
        while not self.answers():
            if self.process.poll() is not None or time.monotonic() > limit:
                raise Broken("PostgreSQL did not start")
            time.sleep(0.05)

    def follow(self, primary):
        """Becomes a standby of `primary`, by streaming replication, whatever it was before."""
        self.back_up(primary, "-R")
        self.start()

    def back_up(self, server, *options):
        """Its data are a backup of `server` from now on, whatever they were before; it does not run."""
        self.kill()
        shutil.rmtree(self.data, ignore_errors=True)
        subprocess.run(
            [f"{self.programs}/pg_basebackup", "-h", server.folder, "-U", "gatehouse", "-D", self.data, "-X", "stream", "--checkpoint=fast",
             *options],
            check=True, capture_output=True, preexec_fn=self.run_as_user, cwd="/",
        )

    def promote(self):
        """Ends the following; returns when it takes writes."""
        subprocess.run(
            [f"{self.programs}/pg_ctl", "promote", "-w", "-D", self.data],
            check=True, capture_output=True, preexec_fn=self.run_as_user, cwd="/")

    def kill(self):
        """At once, as if its machine had lost the process."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGQUIT)
            self.process.wait()

    def answers(self):
        return subprocess.run(self.words("SELECT 1"), capture_output=True, check=False).returncode == 0

    def words(self, sql):
        """The command that runs it."""
        return [f"{self.programs}/psql", "-h", self.folder, "-U", "gatehouse", "-d", "postgres", "-XAtqc", sql]

    def sql(self, text):
        """What psql prints, unaligned; `Broken` when the statement fails."""
        done = subprocess.run(self.words(text), capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise Broken(f"{text}: {done.stderr.strip()}")
        return done.stdout.strip()

    def __exit__(self, *_):
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def uri(self):
        return f"postgres:///postgres?host={self.folder}&user=gatehouse"


class PgBouncer:
    """A PostgreSQL behind PgBouncer in transaction mode; the database of a `Cluster`."""

    def __init__(self):
        self.postgres, self.process = Postgres(), None
        self.folder = tempfile.mkdtemp(prefix="gatehouse-soak-pb-")

    def __enter__(self):
        self.postgres.__enter__()
        if not os.access("/usr/sbin/pgbouncer", os.X_OK):
            raise Broken("PgBouncer is not installed: scripts/setup test installs it")
        path = os.path.join(self.folder, "pgbouncer.ini")
        with open(path, "w", encoding="ascii") as file:
            file.write(f"""[databases]
postgres = host={self.postgres.folder} port=5432 dbname=postgres user=gatehouse
[pgbouncer]
pool_mode = transaction
default_pool_size = 20
max_client_conn = 1000
auth_type = any
listen_port = 6432
unix_socket_dir = {self.folder}
logfile = {self.folder}/log
""")
        if os.geteuid() == 0:
            shutil.chown(self.folder, USER)
        self.process = subprocess.Popen(
            ["/usr/sbin/pgbouncer", "-q", path], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            preexec_fn=self.postgres.run_as_user, cwd="/", start_new_session=True)
        limit = time.monotonic() + 20
        while not os.path.exists(os.path.join(self.folder, ".s.PGSQL.6432")):
            if self.process.poll() is not None or time.monotonic() > limit:
                raise Broken("PgBouncer did not start")
            time.sleep(0.02)
        return self

    def __exit__(self, *_):
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.postgres.__exit__()
        shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def uri(self):
        return f"postgres:///postgres?host={self.folder}&port=6432&user=gatehouse&pooled=1"
