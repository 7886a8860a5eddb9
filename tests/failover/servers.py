"""Where databases are: a plain Postgres; a cluster of two by Patroni and etcd, of which one is the primary; and
HAProxy before such a cluster, with a single address."""

import json
import os
import shutil
import time

from ground import AS_POSTGRES, BIN, Violated, ask, end_postgres, kill_postgres, run, sql, until

SERVICES = ["coupon", "delivery", "member", "mileage", "mypage", "notification", "order", "payment", "product"]
# Of Postgres: enough for all pools, and room for what a standby that is away will ask for. Who is killed leaves no
# shared memory of the system's behind.
PARAMETERS = {"max_connections": 400, "wal_keep_size": "1GB", "dynamic_shared_memory_type": "mmap"}


class Server:
    """One address, or several, of one primary."""

    def address(self):
        raise NotImplementedError

    def url(self, user="postgres", database="postgres"):
        return f"postgres://{user}@{self.address()}/{database}{self.query()}"

    def query(self):
        return ""

    def service_url(self):
        return self.url("hansang_{service}", "hansang_{service}")

    def verifier_url(self):
        return self.url("hansang_verify", "hansang_{service}")

    def of(self, service, statements, check=True):
        return sql(self.url(database=f"hansang_{service}"), statements, check)

    def furnish(self, services):
        """A database and a role per service, and the role of the verifier."""
        roles = "".join(f"create role hansang_{s} login; create database hansang_{s} owner hansang_{s};" for s in services)
        verifier = "create role hansang_verify login; alter role hansang_verify set default_transaction_read_only = on;"
        for statement in (verifier + roles).split(";"):
            sql(self.url(), statement)
        for service in services:
            self.of(service, f"""alter default privileges for role hansang_{service} in schema public
                grant select on tables to hansang_verify""")


class Postgres(Server):
    """A server alone."""

    def __init__(self, ground, name):
        self.ground, self.name, self.port = ground, name, ground.port()
        self.data = ground.make(name) / "data"
        run(BIN / "initdb", "-D", self.data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-sync", **AS_POSTGRES)
        ground.ends.append(lambda: end_postgres(self.data))
        self.start()

    def address(self):
        return f"127.0.0.1:{self.port}"

    def start(self):
        settings = [f"-c{key}={value}" for key, value in PARAMETERS.items()]
        command = [BIN / "postgres", "-D", self.data, "-p", self.port, "-k", "", *settings]
        self.process = self.ground.start(self.name, *command, **AS_POSTGRES)
        until(f"{self.name} answers", lambda: sql(self.url(), "select 1", check=False))

    def stop(self):
        self.process.send_signal(2)
        self.process.wait()

    def copy(self):
        """The data directory of the server, which is stopped meanwhile."""
        self.stop()
        run("cp", "-a", self.data, f"{self.data}.copy")
        self.start()

    def put_back(self):
        """What was copied takes the place of what was written since."""
        self.stop()
        shutil.rmtree(self.data)
        os.rename(f"{self.data}.copy", self.data)


class Node:
    """Patroni and its Postgres."""

    def __init__(self, ground, name, etcd, synchronous):
        self.ground, self.name = ground, name
        self.port, self.rest = ground.port(), ground.port()
        folder = ground.make(name)
        self.data, self.file = folder / "data", folder / "patroni.json"
        self.file.write_text(json.dumps(self.config(etcd, synchronous)))
        self.file.chmod(0o644)

    def config(self, etcd, synchronous):
        dynamic = {
            "ttl": 20, "loop_wait": 2, "retry_timeout": 3,
            "synchronous_mode": synchronous,
            # What a standby may lack and be promoted all the same: these tests want the loss.
            "maximum_lag_on_failover": 1 << 40,
            "postgresql": {"use_pg_rewind": True, "use_slots": True, "parameters": {**PARAMETERS, "wal_log_hints": "on"}},
        }
        return {
            "scope": "shop", "name": self.name, "etcd": {"host": etcd},
            "restapi": {"listen": f"127.0.0.1:{self.rest}", "connect_address": f"127.0.0.1:{self.rest}"},
            "bootstrap": {"dcs": dynamic, "initdb": [{"encoding": "UTF8"}, {"auth": "trust"}, "data-checksums", "no-sync"]},
            "postgresql": {
                "listen": f"127.0.0.1:{self.port}", "connect_address": f"127.0.0.1:{self.port}",
                "data_dir": str(self.data), "bin_dir": str(BIN), "pgpass": str(self.data.parent / "pgpass"),
                "parameters": {"unix_socket_directories": str(self.data.parent)},
                "pg_hba": ["local all all trust", "host all all 127.0.0.1/32 trust", "host replication all 127.0.0.1/32 trust"],
                "authentication": {"superuser": {"username": "postgres"}, "replication": {"username": "replicator"}},
                "remove_data_directory_on_rewind_failure": True,
                "remove_data_directory_on_diverged_timelines": True,
            },
        }

    def start(self):
        self.patroni = self.ground.start(self.name, "patroni", self.file, **AS_POSTGRES)

    def crash(self):
        """As by a power cut: Patroni first, so that it neither restarts nor demotes anything."""
        self.patroni.kill()
        self.patroni.wait()
        kill_postgres(self.data)

    def end(self):
        self.patroni.kill()
        self.patroni.wait()
        end_postgres(self.data)


class Cluster(Server):
    """Two nodes, a primary and its standby."""

    def __init__(self, ground, name, synchronous=True):
        self.ground, self.synchronous = ground, synchronous
        client, peer = ground.port(), ground.port()
        at, with_peers = f"http://127.0.0.1:{client}", f"http://127.0.0.1:{peer}"
        ground.start(f"{name}-etcd", "etcd", "--enable-v2", "--data-dir", ground.data / f"{name}-etcd",
                     "--listen-client-urls", at, "--advertise-client-urls", at, "--listen-peer-urls", with_peers,
                     "--initial-advertise-peer-urls", with_peers, "--initial-cluster", f"default={with_peers}")
        until("etcd is healthy", lambda: (ask(f"{at}/health") or {}).get("health") == "true")
        self.nodes = [Node(ground, f"{name}-{letter}", f"127.0.0.1:{client}", synchronous) for letter in "ab"]
        for node in self.nodes:
            ground.ends.append(node.end)
            node.start()
        self.whole()
        sql(self.url(), "create table probe (at timestamptz not null)")

    def address(self):
        return ",".join(f"127.0.0.1:{node.port}" for node in self.nodes)

    def query(self):
        return "?target_session_attrs=read-write"

    def members(self):
        """Roles by name, as any node's Patroni tells."""
        for node in self.nodes:
            told = ask(f"http://127.0.0.1:{node.rest}/cluster")
            if told:
                return {member["name"]: member for member in told["members"]}
        return {}

    def primary(self):
        return next((node for node in self.nodes if self.members().get(node.name, {}).get("role") == "leader"), None)

    def standby(self):
        primary = self.primary()
        return next(node for node in self.nodes if node is not primary)

    def is_whole(self):
        for node in self.nodes:
            if node.patroni.poll() is not None:
                raise Violated(f"the Patroni of {node.name} ended by itself")
        roles = {member["role"]: member for member in self.members().values()}
        second = roles.get("sync_standby" if self.synchronous else "replica")
        first = roles.get("leader")
        return first and second and first["state"] == second["state"] == "running" \
            and first["timeline"] == second["timeline"]

    def whole(self):
        """Waits until there is a primary, and a standby that may be promoted."""
        until("primary and standby are there", self.is_whole, within=180)

    def writes(self, node=None):
        """Whether the cluster, or this node of it, commits."""
        url = f"postgres://postgres@127.0.0.1:{node.port}/postgres" if node else self.url()
        return sql(url, "insert into probe values (now())", check=False) is not None

    def crash(self, when=lambda: None):
        """Has the primary crash, once `when` comes back. Answers when the other one accepts writes, and how long
        that took."""
        old, new = self.primary(), self.standby()
        when()
        began = time.monotonic()
        old.crash()
        return self.promoted(old, new, began)

    def switch(self, when):
        """A planned switchover."""
        old, new = self.primary(), self.standby()
        when()
        began = time.monotonic()
        run("patronictl", "-c", old.file, "switchover", "--leader", old.name, "--candidate", new.name, "--force", "shop")
        return self.promoted(old, new, began)

    def promoted(self, old, new, began):
        until(f"{new.name} accepts writes", lambda: self.writes(new), within=90)
        promoted = time.monotonic()
        return old, promoted, promoted - began

    def cut_off(self):
        """The standby receives nothing any more."""
        sql(self.url(), "alter role replicator nologin")
        sql(self.url(), "select pg_terminate_backend(pid) from pg_stat_replication")
        until("nothing is replicated", lambda: sql(self.url(), "select count(*) from pg_stat_replication") == ["0"])

    def let_in(self):
        sql(self.url(), "alter role replicator login")


class Haproxy(Server):
    """One address before a cluster: that of the node which Patroni says is the primary."""

    def __init__(self, ground, cluster):
        self.port = ground.port()
        servers = "\n".join(f"  server {node.name} 127.0.0.1:{node.port} check port {node.rest}" for node in cluster.nodes)
        file = ground.folder / "haproxy.cfg"
        file.write_text(f"""
defaults
  mode tcp
  timeout connect 2s
  timeout client 30m
  timeout server 30m
listen postgres
  bind 127.0.0.1:{self.port}
  option httpchk OPTIONS /primary
  http-check expect status 200
  default-server inter 1s fastinter 500ms fall 2 rise 1 on-marked-down shutdown-sessions
{servers}
""")
        ground.start("haproxy", "haproxy", "-db", "-f", file)
        # It takes both servers for up until it has asked them, and leads to each in turn.
        primary = lambda: sql(self.url(), "select not pg_is_in_recovery()", check=False) == ["t"]
        until("HAProxy leads to the primary", lambda: all(primary() for _ in range(4)))

    def address(self):
        return f"127.0.0.1:{self.port}"
