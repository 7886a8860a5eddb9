"""Plays the chart's mode `services` with processes, where there is no cluster: keys, databases and roles as
docs/operate.md has them made, the migrations' Job, then every Deployment's container with its own arguments,
environment and files, by TLS. An order goes through, the policies change, a certificate, a key and a password are replaced, orders go
through, `verify` holds, and all stop well.

python3 deployment.py HELM HANSANG; keeps what it wrote, and the logs, when something is wrong.
"""

import glob
import json
import os
import pathlib
import pwd
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
import uuid

import yaml

ROOT = pathlib.Path(__file__).parents[2]
HELM, HANSANG = sys.argv[1:3]
MANUAL = (ROOT / "docs/operate.md").read_text()
PATIENCE = 60 * int(os.environ.get("HANSANG_PATIENCE", "1"))
DEPLOYED = {"policies.concurrency": "500", "policies.default.breaker.open_ms": "2000", "database.passwordSecret": "passwords",
            "database.url": "postgres://hansang_{service}@db/hansang_{service}",
            "tls.services.existingSecret": "tls", "tls.gateway.existingSecret": "tls"}
# As an authority in the cluster would.
CERTIFICATE = r"""
key="-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2"
[ -e ca.crt ] || openssl req -x509 $key -keyout ca.key -out ca.crt -subj /CN=ca
openssl req $key -keyout new.key -out new.csr -subj /CN=hansang
printf 'basicConstraints=CA:FALSE\nsubjectAltName=DNS:localhost\n' >extensions
openssl x509 -req -in new.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 2 -out new.crt -extfile extensions
mv new.key tls.key
mv new.crt tls.crt
"""


def port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def manual(language, begin):
    """The lines of the manual's code of a language, from one that begins so to the end of its block."""
    for block in re.findall(rf"```{language}\n(.*?)```", MANUAL, re.S):
        if begin in block:
            return block[block.index(begin):].replace("…", "secret")
    sys.exit(f"docs/operate.md: no {language} that says {begin!r}")


def until(what, holds):
    end = time.monotonic() + PATIENCE
    while not holds():
        if time.monotonic() > end:
            raise TimeoutError(what)
        time.sleep(0.1)


class Postgres:
    """A server that anyone may reach by password, as a managed one."""

    def __init__(self, folder):
        self.port, self.folder = port(), folder
        programs = sorted(glob.glob("/usr/lib/postgresql/*/bin")) or [os.path.dirname(shutil.which("initdb"))]
        # It does not run as root.
        self.user = {"user": "postgres", "group": "postgres"} if os.geteuid() == 0 else {}
        if self.user:
            owner = pwd.getpwnam("postgres")
            os.chown(folder, owner.pw_uid, owner.pw_gid)
        (folder / "password").write_text("admin")
        command = [f"{programs[-1]}/initdb", "-D", folder / "data", "-U", "postgres", "-A", "scram-sha-256"]
        command += [f"--pwfile={folder}/password", "--no-sync"]
        subprocess.run(command, check=True, capture_output=True, cwd="/", **self.user)
        command = [f"{programs[-1]}/postgres", "-D", folder / "data", "-p", str(self.port), "-k", "", "-c"]
        log = open(folder / "log", "w")
        self.process = subprocess.Popen([*command, "max_connections=400"], stderr=log, cwd="/", **self.user)
        until("Postgres", lambda: self.ask("postgres", "select 1", check=False).returncode == 0)

    def ask(self, database, sql, check=True):
        url = f"postgres://postgres:admin@127.0.0.1:{self.port}/{database}"
        command = ["psql", "-qAt", "--set=ON_ERROR_STOP=1", url]
        done = subprocess.run(command, input=sql, text=True, capture_output=True)
        if check and done.returncode != 0:
            sys.exit(f"{database}: {sql}: {done.stderr}")
        return done

    def url(self, user):
        return f"postgres://{user}@127.0.0.1:{self.port}/hansang_{{service}}"

    def stop(self):
        self.process.send_signal(signal.SIGINT)
        self.process.wait()


class Deployment:
    def __init__(self, folder, postgres):
        flags = [flag for pair in DEPLOYED.items() for flag in ("--set", "=".join(pair))]
        text = subprocess.check_output([HELM, "template", "shop", ROOT / "helm/hansang", *flags], text=True)
        self.objects = [object for object in yaml.safe_load_all(text) if object]
        self.folder, self.postgres, self.processes = folder, postgres, {}
        self.services = [o["metadata"]["name"].removeprefix("shop-hansang-") for o in self.of("Deployment")]
        self.services.remove("gateway")
        self.ports = {part: port() for part in [*self.services, "gateway"]}
        self.http = port()
        # In a cluster, names lead to the others.
        self.peers = {f"HANSANG__PEERS__OVERRIDES__{s.upper()}": f"https://localhost:{self.ports[s]}" for s in self.services}

    def of(self, kind):
        return [object for object in self.objects if object["kind"] == kind]

    def furnish(self):
        for kind, file in (("config", "hansang.toml"), ("policies", "policies.toml")):
            [made] = [o["data"][file] for o in self.of("ConfigMap") if o["metadata"]["name"].endswith(f"-{kind}")]
            self.write(f"{kind}/{file}", made)
        self.make_keys(manual("sh", "public() {").split("kubectl")[0])
        self.certify()
        self.write("database/url", self.postgres.url("hansang_{service}"))
        self.make_passwords(manual("sh", "mkdir -p passwords").split("kubectl")[0])

    def make_keys(self, script):
        self.write("keys/make.sh", f"set -e\n{script}")
        subprocess.run(["bash", "make.sh"], cwd=self.folder / "keys", check=True, capture_output=True)

    def certify(self):
        (self.folder / "tls").mkdir(exist_ok=True)
        subprocess.run(["bash", "-ec", CERTIFICATE], cwd=self.folder / "tls", check=True, capture_output=True)
        if not (self.folder / "gateway-tls").exists():
            (self.folder / "gateway-tls").symlink_to("tls")
        self.tls = ssl.create_default_context(cafile=self.folder / "tls/ca.crt")
        self.tls.load_cert_chain(self.folder / "tls/tls.crt", self.folder / "tls/tls.key")

    def renew(self):
        """The certificate of everything; nothing is restarted."""
        shown = lambda at: ssl.get_server_certificate(("localhost", at))
        before = shown(self.http)
        self.certify()
        until("the gateway shows the new certificate", lambda: shown(self.http) != before)

    def make_passwords(self, script):
        """The Secret is the folder, which the pods share here."""
        (self.folder / "password").mkdir(exist_ok=True)
        if not (self.folder / "passwords").exists():
            (self.folder / "passwords").symlink_to("password")
        self.write("make.sh", f"set -e\n{script}")
        server = {"PGHOST": "127.0.0.1", "PGPORT": str(self.postgres.port), "PGUSER": "postgres", "PGPASSWORD": "admin"}
        subprocess.run(["bash", "make.sh"], cwd=self.folder, env={**os.environ, **server}, check=True, capture_output=True)

    def write(self, path, text):
        (self.folder / path).parent.mkdir(exist_ok=True)
        (self.folder / path).write_text(text)

    def here(self, text):
        return text.replace("/etc/hansang", str(self.folder))

    def env(self, container):
        return {**{e["name"]: self.here(e["value"]) for e in container["env"]}, **self.peers}

    def migrate(self):
        for container in self.of("Job")[0]["spec"]["template"]["spec"]["containers"]:
            command = [HANSANG, *container["args"]]
            done = subprocess.run(command, env=self.env(container), capture_output=True, text=True)
            if done.returncode != 0:
                raise RuntimeError(f"{container['args']}: {done.stderr}")

    def start(self, parts=()):
        """Starts these parts, or all; those that run are stopped before."""
        self.stop(parts)
        for deployment in self.of("Deployment"):
            [container] = deployment["spec"]["template"]["spec"]["containers"]
            part = container["args"][1].removeprefix("--run=")
            if parts and part not in parts:
                continue
            ports = {"--grpc=0.0.0.0:50051": self.ports[part], "--http=0.0.0.0:8080": self.http}
            args = [f"{a.split('=')[0]}=127.0.0.1:{ports[a]}" if a in ports else self.here(a) for a in container["args"]]
            with open(self.folder / f"{part}.log", "a") as log:
                self.processes[part] = subprocess.Popen([HANSANG, *args], env=self.env(container), stderr=log)
        for part, at in self.ports.items():
            ask = [HANSANG, "healthcheck", "--grpc", f"127.0.0.1:{at}"]
            env = self.env(self.container(part))
            until(f"{part} is ready", lambda: subprocess.run(ask, env=env, capture_output=True).returncode == 0)

    def container(self, part):
        containers = [d["spec"]["template"]["spec"]["containers"][0] for d in self.of("Deployment")]
        [container] = [c for c in containers if f"--run={part}" in c["args"]]
        return container

    def call(self, method, path, body=None, token="", key=""):
        headers = {"content-type": "application/json", **({"authorization": f"Bearer {token}"} if token else {})}
        headers |= {"idempotency-key": f'"{key}"'} if key else {}
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"https://localhost:{self.http}{path}", data, headers, method=method)
        try:
            with urllib.request.urlopen(request, context=self.tls) as response:
                return json.load(response)
        except urllib.error.HTTPError as error:
            raise RuntimeError(f"{method} {path}: {error.code} {error.read().decode()}") from error

    def insist(self, method, path, body=None, token=""):
        """Repeats it with one key, as clients do: what was restarted a moment ago may be busy yet."""
        key, end = str(uuid.uuid4()), time.monotonic() + PATIENCE
        while True:
            try:
                return self.call(method, path, body, token, key if method == "POST" else "")
            except RuntimeError as error:
                if error.__cause__.code < 500 or time.monotonic() > end:
                    raise
            time.sleep(0.2)

    def person(self, email, then):
        login = {"email": email, "password": "correct horse"}
        then(self.call("POST", "/v1/members", {**login, "displayName": "Me"})["id"])
        return self.call("POST", "/v1/sessions", login)["accessToken"]

    def make_admin(self):
        """As the manual says, in member's container."""
        command = manual("sh", "kubectl exec deploy/shop-hansang-member -- hansang ").split("-- hansang ")[1].split()
        done = subprocess.run([HANSANG, *command], env=self.env(self.container("member")), capture_output=True, text=True)
        if done.returncode != 0:
            raise RuntimeError(f"{command}: {done.stderr}")

    def order(self):
        self.admin = admin = self.person("me@example.com", lambda _: self.make_admin())
        grant = lambda id: self.call("POST", f"/v1/members/{id}:grantRole", {"role": "SELLER"}, admin)
        seller = self.person("seller@example.com", grant)
        price = {"currencyCode": "KRW", "units": "1000"}
        self.product = self.call("POST", "/v1/products", {"displayName": "Table", "price": price, "stock": 99}, seller)["id"]
        self.buy()

    def buy(self):
        order = {"paymentMethod": "CARD", "cardToken": "tok_visa", "lines": [{"productId": self.product, "quantity": 2}]}
        order = self.insist("POST", "/v1/orders", order, self.admin)["id"]
        state = lambda: self.insist("GET", f"/v1/orders/{order}", token=self.admin)["state"]
        until("the order is delivered", lambda: state() == "DELIVERING")

    def reload(self):
        metrics = f"https://localhost:{self.ports['gateway']}/metrics"
        read = lambda: urllib.request.urlopen(metrics, context=self.tls).read().decode()
        taken = lambda: 'policies_changes_total{outcome="taken"} 1' in read()
        self.write("policies/policies.toml", "concurrency = 7\n")
        until("changed policies are taken", taken)

    def rotate(self):
        """The key of order's tokens, as the manual says. That no call is refused meanwhile, a story sees."""
        functions = manual("sh", "public() {").split("\n\n")[0]
        new = "service_key.order.new.pem"
        steps = {f"openssl genpkey -algorithm ed25519 -out {new}": self.services, f"mv {new}": ["order"], "jq -c 'del(": self.services}
        for step, parts in steps.items():
            self.make_keys(f"{functions}\n{manual('sh', step)}")
            self.start(parts)
        keys = json.loads((self.folder / "keys/services_jwks.json").read_text())["keys"]
        kids = [key["kid"] for key in keys]
        if "service:order" in kids or "service:order#2" not in kids:
            raise RuntimeError(f"rotated: {kids}")

    def change_password(self):
        """Of order's role, as the manual says, while it connects anew in every state; nothing is restarted."""
        old = (self.folder / "password/order").read_text()
        for step in ("openssl rand -hex 24 >>passwords/order", 'psql --quiet --command="alter role', "sed -i 1d passwords/order"):
            self.make_passwords(manual("sh", step))
            sql = "select count(pg_terminate_backend(pid)) from pg_stat_activity where usename = 'hansang_order'"
            self.postgres.ask("postgres", sql)
            self.buy()
        new = (self.folder / "password/order").read_text()
        if old == new or len(new.split()) != 1:
            raise RuntimeError(f"the password changed from {old!r} to {new!r}")

    def verify(self):
        role = manual("sql", "create role hansang_verify")
        self.postgres.ask("postgres", role.split("-- ")[0])
        for service in self.services:
            grants = role.split("-- \\c hansang_order\n")[1].replace("order", service)
            self.postgres.ask(f"hansang_{service}", grants)
        env = {"HANSANG__DATABASE__URL": self.postgres.url("hansang_verify:secret")}
        done = subprocess.run([HANSANG, "verify"], env=env, cwd=self.folder, capture_output=True, text=True)
        if done.returncode != 0:
            raise RuntimeError(f"verify: {done.stdout}{done.stderr}")
        return len(done.stdout.splitlines())

    def stop(self, parts=()):
        processes = {part: process for part, process in self.processes.items() if not parts or part in parts}
        for process in processes.values():
            process.terminate()
        ended = {part: process.wait(PATIENCE) for part, process in processes.items()}
        if any(ended.values()):
            raise RuntimeError(f"stopped: {ended}")

    def kill(self):
        for process in self.processes.values():
            process.kill()
            process.wait()


def main():
    began = time.monotonic()
    # Postgres's own user has to pass through.
    folder = pathlib.Path(tempfile.mkdtemp(prefix="hansang-deployment-"))
    folder.chmod(0o711)
    (folder / "postgres").mkdir()
    postgres = Postgres(folder / "postgres")
    deployment = Deployment(folder, postgres)
    try:
        deployment.furnish()
        deployment.migrate()
        deployment.start()
        deployment.order()
        deployment.reload()
        deployment.renew()
        deployment.buy()
        deployment.rotate()
        deployment.buy()
        deployment.change_password()
        held = deployment.verify()
        deployment.stop()
    except Exception as error:
        print(f"the chart's deployment does not stand: {error!r}; see {folder}", file=sys.stderr)
        return 1
    finally:
        deployment.kill()
        postgres.stop()
    shutil.rmtree(folder)
    print(f"{len(deployment.processes)} pods as processes: orders delivered, {held} invariants hold, "
          f"{time.monotonic() - began:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
