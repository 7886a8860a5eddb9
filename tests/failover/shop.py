"""The shop: processes of Hansang on databases that are there, what operators do to them, and REST."""

import http.client
import json
import os
import re
import subprocess
import time
import uuid

from ground import HANSANG, PATIENCE, ROOT, Violated, run, until

MANUAL = (ROOT / "docs/operate.md").read_text()
# A call that is under way when the primary goes is answered within this.
TIMEOUT = 10


class Refused(Violated):
    """An answer that repeating would not change."""


class Rest:
    """A connection to the gateway that is made anew when it has to be."""

    def __init__(self, port):
        self.port, self.connection = port, None

    def call(self, method, path, body=None, token="", key=""):
        """The status and the answer; no status when there was none."""
        headers = {"content-type": "application/json"}
        headers |= {"authorization": f"Bearer {token}"} if token else {}
        headers |= {"idempotency-key": f'"{key}"'} if key else {}
        try:
            self.connection = self.connection or http.client.HTTPConnection("127.0.0.1", self.port, timeout=TIMEOUT)
            self.connection.request(method, path, None if body is None else json.dumps(body), headers)
            response = self.connection.getresponse()
            return response.status, json.loads(response.read() or b"{}")
        except (OSError, http.client.HTTPException, ValueError) as error:
            if self.connection:
                self.connection.close()
            self.connection = None
            return None, {"detail": repr(error)}

    def insist(self, method, path, body=None, token="", within=60):
        """The answer, asked for with one key until there is one: what a client does while a service is away."""
        key, end = str(uuid.uuid4()), time.monotonic() + within * PATIENCE
        while True:
            status, answer = self.call(method, path, body, token, key if method == "POST" else "")
            if status and status < 300:
                return answer
            if status and status < 500 and status not in (409, 429):
                raise Refused(f"{method} {path}: {status} {answer}")
            if time.monotonic() > end:
                raise Violated(f"{method} {path} is not answered: {status} {answer}")
            time.sleep(0.2)


class Shop:
    """All services and the gateway, in one process per server that has databases of theirs."""

    def __init__(self, ground, parts):
        """`parts`: name of a process to the services in it and the server that they are on."""
        self.ground, self.parts, self.processes = ground, parts, {}
        self.grpc, self.http = {name: ground.port() for name in parts}, ground.port()
        self.folder = ground.folder / "keys"
        if not self.folder.exists():
            self.folder.mkdir()
            make = re.search(r"```sh\n(public\(\).*?)kubectl", MANUAL, re.S)[1]
            run("bash", "-ec", make, cwd=self.folder)
        for name, (services, server) in parts.items():
            server.furnish(services)
        self.migrate()
        self.start()

    def env(self, name):
        services, server = self.parts[name]
        kept = {key: value for key, value in os.environ.items() if not key.startswith("HANSANG__")}
        env = {
            "HANSANG__DATABASE__URL": server.service_url(),
            "HANSANG__AUTH__JWKS_FILE": f"{self.folder}/jwks.json",
            "HANSANG__AUTH__SERVICES_JWKS_FILE": f"{self.folder}/services_jwks.json",
            "NO_COLOR": "1",
        }
        own = {f"HANSANG__AUTH__SERVICE_KEYS__{s.upper()}_FILE": f"{self.folder}/service_key.{s}.pem" for s in services}
        env |= own
        if "member" in services:
            env["HANSANG__AUTH__SIGNING_KEY_FILE"] = f"{self.folder}/signing_key.pem"
        for part, (others, _) in self.parts.items():
            peers = {f"HANSANG__PEERS__OVERRIDES__{s.upper()}": f"http://127.0.0.1:{self.grpc[part]}" for s in others}
            env |= peers
        return {**kept, **env}

    def migrate(self):
        for name, (services, _) in self.parts.items():
            run(HANSANG, "migrate", "--run", ",".join(services), env=self.env(name))

    def start(self):
        for name, (services, _) in self.parts.items():
            names = services + (["gateway"] if "member" in services else [])
            command = [HANSANG, "serve", "--run", ",".join(names), "--grpc", f"127.0.0.1:{self.grpc[name]}",
                       "--http", f"127.0.0.1:{self.http}"]
            self.processes[name] = self.ground.start(f"hansang-{name}", *command, env=self.env(name))
        for name in self.parts:
            until(f"{name} is well", lambda: self.is_well(name))

    def is_well(self, name):
        if self.processes[name].poll() is not None:
            raise Violated(f"the process {name} of Hansang ended by itself")
        ask = [HANSANG, "healthcheck", "--grpc", f"127.0.0.1:{self.grpc[name]}"]
        return subprocess.run(ask, capture_output=True, cwd="/").returncode == 0

    def runs(self):
        for name, process in self.processes.items():
            if process.poll() is not None:
                raise Violated(f"the process {name} of Hansang ended by itself")

    def stop(self):
        for name, process in self.processes.items():
            process.terminate()
            if process.wait(60 * PATIENCE) != 0:
                raise Violated(f"the process {name} of Hansang did not stop well")

    def server(self, service):
        return next(server for services, server in self.parts.values() if service in services)

    def sql(self, service, statements):
        return self.server(service).of(service, statements)

    def metric(self, name):
        """The sum of a metric over all processes."""
        total = 0.0
        for port in self.grpc.values():
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT)
            connection.request("GET", "/metrics")
            text = connection.getresponse().read().decode()
            total += sum(float(value) for value in re.findall(rf"^{name}(?:{{.*}})? (\S+)$", text, re.M))
            connection.close()
        return total

    def operate(self, *command):
        """`hansang log` and the like."""
        key = {"HANSANG__AUTH__OPERATOR_KEY_FILE": f"{self.folder}/operator_key.pem"}
        return run(HANSANG, *command, env={**self.env(next(iter(self.parts))), **key}, cwd=self.folder)

    def verify(self):
        """Invariants that hold; all have to."""
        [(_, server)] = self.parts.values()
        env = {**os.environ, "HANSANG__DATABASE__URL": server.verifier_url()}
        lines = run(HANSANG, "verify", "--patience", str(int(30 * PATIENCE)), env=env, cwd=self.folder).splitlines()
        return len(lines)

    def person(self, email, role=None):
        """Signs somebody up and in; answers the id, the token and the connection."""
        rest = Rest(self.http)
        login = {"email": email, "password": "correct horse"}
        me = rest.insist("POST", "/v1/members", {**login, "displayName": email.split("@")[0]})["id"]
        if role:
            self.sql("member", f"update member set roles = array_append(roles, '{role}') where id = '{me}'")
        return me, rest.insist("POST", "/v1/sessions", login)["accessToken"], rest

    def product(self):
        """Something to buy, by a seller."""
        _, token, rest = self.person(f"seller-{uuid.uuid4().hex[:8]}@example.com", "SELLER")
        goods = {"displayName": "Table", "price": {"currencyCode": "KRW", "units": "1000"}, "stock": 1000000}
        return rest.insist("POST", "/v1/products", goods, token)["id"]
