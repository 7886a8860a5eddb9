"""What everything here stands on: a folder, ports, processes of our own and an end to all of them; waiting
for a condition; and Postgres' programs."""

import glob
import json
import os
import pathlib
import pwd
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request

ROOT = pathlib.Path(__file__).parents[2]
HANSANG = pathlib.Path(os.environ.get("HANSANG") or ROOT / "target/debug/hansang")
# A slow machine gets more.
PATIENCE = float(os.environ.get("HANSANG_PATIENCE", "1"))
BIN = pathlib.Path((sorted(glob.glob("/usr/lib/postgresql/*/bin")) or [os.path.dirname(shutil.which("initdb"))])[-1])
# Postgres does not run as root.
AS_POSTGRES = {"user": "postgres", "group": "postgres", "extra_groups": []} if os.geteuid() == 0 else {}


class Violated(Exception):
    """Something does not hold that has to."""


# Data of servers that are killed anyway: in memory if it has room, as other work's disk is not what is tested.
MEMORY = "/dev/shm" if os.path.isdir("/dev/shm") and shutil.disk_usage("/dev/shm").free > 8 << 30 else None


class Ground:
    """A folder for logs, which stays when something was violated, one for data, and what was started."""

    def __init__(self):
        self.began = time.monotonic()
        self.folder, self.data = (pathlib.Path(tempfile.mkdtemp(prefix="hansang-failover-", dir=where)) for where in (None, MEMORY))
        for folder in (self.folder, self.data):
            # Postgres' own user has to pass through.
            folder.chmod(0o711)
        self.processes, self.ends, self.ports = [], [], set()

    def say(self, line):
        print(f"{time.monotonic() - self.began:6.1f} s  {line}", flush=True)

    def port(self):
        """One that stays free while its process is dead: none that the system gives to outgoing connections."""
        while True:
            port = random.randrange(16000, 32000)
            with socket.socket() as probe:
                try:
                    probe.bind(("127.0.0.1", port))
                except OSError:
                    continue
            if port not in self.ports:
                self.ports.add(port)
                return port

    def make(self, name):
        """A folder for data, which belongs to Postgres."""
        folder = self.data / name
        folder.mkdir(mode=0o700)
        if AS_POSTGRES:
            owner = pwd.getpwnam("postgres")
            os.chown(folder, owner.pw_uid, owner.pw_gid)
        return folder

    def start(self, name, *command, **how):
        """Its log goes on where the one before ended. Ctrl-C is for us alone."""
        with open(self.folder / f"{name}.log", "a") as log:
            process = subprocess.Popen([str(word) for word in command], stdout=log, stderr=log, cwd="/",
                                       start_new_session=True, **how)
        self.processes.append(process)
        return process

    def close(self, keep):
        for end in reversed(self.ends):
            end()
        for process in reversed(self.processes):
            process.kill()
            process.wait()
        shutil.rmtree(self.data)
        if not keep:
            shutil.rmtree(self.folder)


def until(what, holds, within=60):
    """Waits for what holds, and answers it."""
    end = time.monotonic() + within * PATIENCE
    while True:
        held = holds()
        if held:
            return held
        if time.monotonic() > end:
            raise Violated(f"not within {within * PATIENCE:.0f} s: {what}")
        time.sleep(0.1)


def run(*command, **how):
    """Its output; it has to succeed."""
    command = [str(word) for word in command]
    done = subprocess.run(command, capture_output=True, text=True, cwd=how.pop("cwd", "/"), **how)
    if done.returncode != 0:
        raise Violated(f"{' '.join(command)}: {(done.stdout + done.stderr).strip()}")
    return done.stdout


def sql(url, statements, check=True):
    """Rows as psql prints them; None when it fails and may."""
    command = ["psql", "-qAtX", "--set=ON_ERROR_STOP=1", url]
    env = {**os.environ, "PGCONNECT_TIMEOUT": "2"}
    done = subprocess.run(command, input=statements, text=True, capture_output=True, env=env, cwd="/")
    if done.returncode == 0:
        return done.stdout.splitlines()
    if check:
        raise Violated(f"{url}: {statements}: {done.stderr.strip()}")
    return None


def ask(url):
    """JSON of an address, whatever its status; None when nobody answers."""
    try:
        with urllib.request.urlopen(url, timeout=3) as response:
            return json.load(response)
    except urllib.error.HTTPError as error:
        return json.load(error)
    except (OSError, ValueError):
        return None


def postmaster(data):
    """The first process of the server of a data directory; None when it does not run."""
    try:
        pid = int((data / "postmaster.pid").read_text().split()[0])
        os.kill(pid, 0)
        return pid
    except (OSError, IndexError):
        return None


def kill_postgres(data):
    """All processes of a server, at once."""
    first = postmaster(data)
    children = []
    for stat in glob.glob("/proc/[0-9]*/stat"):
        try:
            parent = pathlib.Path(stat).read_text().rsplit(")", 1)[1].split()[1]
        except OSError:
            continue
        if first and int(parent) == first:
            children.append(int(stat.split("/")[2]))
    for pid in [first, *children] if first else []:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass


def end_postgres(data):
    """The same, but so that it leaves no shared memory behind."""
    if first := postmaster(data):
        os.kill(first, signal.SIGQUIT)
        until("Postgres ends", lambda: postmaster(data) != first)
