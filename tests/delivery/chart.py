"""Renders the chart in every way that it promises, with Helm 3 and 4, and holds what comes out against
Kubernetes' own schemas, against itself, and against the binary that shall read it. Talks to no cluster.

python3 chart.py HELM3 HELM4 HANSANG OUT; writes every rendering, and the custom resources, below OUT.
"""

import json
import os
import pathlib
import socket
import subprocess
import sys
import time
import tomllib

import kubernetes_validate
import yaml

ROOT = pathlib.Path(__file__).parents[2]
CHART = ROOT / "helm/hansang"
HELMS = sys.argv[1:3]
HANSANG, OUT = sys.argv[3], pathlib.Path(sys.argv[4])
OURS = ("v1", "apps/v1", "batch/v1", "policy/v1", "autoscaling/v2", "networking.k8s.io/v1")
# The oldest that Chart.yaml allows, and the newest whose schema there is.
KUBERNETES = ("1.28", kubernetes_validate.latest_version())
DATABASE = "database.url=postgres://hansang_{service}:secret@db/hansang_{service}"
wrong = []
seen = set()


def check(holds, complaint):
    if not holds:
        wrong.append(complaint)


def run(*command, **options):
    return subprocess.run(command, capture_output=True, text=True, **options)


def template(helm, *flags, release="shop"):
    """The objects; complains, and answers none, when Helm refuses."""
    done = run(helm, "template", release, CHART, "--namespace=shop", *flags)
    check(done.returncode == 0, f"template {' '.join(flags)}: {done.stderr}")
    return [object for object in yaml.load_all(done.stdout, yaml.CSafeLoader) if object]


def name(object):
    return f"{object['kind']} {object['metadata']['name']}"


def of_kind(objects, kind):
    return {o["metadata"]["name"]: o for o in objects if o["kind"] == kind}


def containers(objects):
    for object in objects:
        if object["kind"] in ("Deployment", "StatefulSet", "Job"):
            for container in object["spec"]["template"]["spec"]["containers"]:
                yield object, container


def rendered():
    """Every way to render, by a name."""
    every = {"services": ["--set", DATABASE], "all-in-one": []}
    for mutual in ("true", "false"):
        secrets = "tls.services.existingSecret=tls,tls.gateway.existingSecret=shop"
        every[f"tls-{mutual}"] = ["--set", DATABASE, "--set", f"{secrets},tls.services.mutual={mutual},monitoring.serviceMonitor.enabled=true"]
    every["all-in-one-tls"] = ["--set", "tls.gateway.existingSecret=shop"]
    every["passwords"] = ["--set", DATABASE.replace(":secret", ""), "--set", "database.passwordSecret=passwords"]
    every["pictures"] = ["--set", DATABASE, "--set", "web.pictures.enabled=true"]
    for stage in ("sign", "verify"):
        every[f"shared-{stage}"] = ["--set", DATABASE, "--set", f"auth.sharedServiceKey={stage}"]
    for example in sorted((CHART / "examples").glob("*.yaml")):
        every[f"example-{example.stem}"] = ["--values", str(example)]
    for case, flags in every.items():
        both = []
        for helm in HELMS:
            done = run(helm, "lint", "--strict", CHART, *flags)
            check(done.returncode == 0, f"lint, {case}: {done.stdout}{done.stderr}")
            both.append(template(helm, *flags))
        # A password that is made is another one each time.
        if not all(both):
            continue
        plain = [[o for o in objects if o.get("type") != "kubernetes.io/basic-auth"] for objects in both]
        check(plain[0] == plain[1], f"{case}: Helm 3 and 4 render it differently")
        yield case, both[1]


def keep(case, objects):
    """For checkov, in the namespace that Helm would put them in."""
    objects = [{**object, "metadata": {**object["metadata"], "namespace": "shop"}} for object in objects]
    (OUT / "rendered").mkdir(exist_ok=True)
    (OUT / "rendered" / f"{case}.yaml").write_text(yaml.dump_all(objects, Dumper=yaml.CSafeDumper, sort_keys=False))


def native(case, objects):
    names = [name(object) for object in objects]
    check(len(set(names)) == len(names), f"{case}: two objects have one name")
    for object in objects:
        text = json.dumps(object, sort_keys=True)
        if object["apiVersion"] not in OURS or text in seen:
            continue
        seen.add(text)
        for version in KUBERNETES:
            try:
                kubernetes_validate.validate(object, version, strict=True)
            except kubernetes_validate.ValidationError as error:
                wrong.append(f"{case}, {name(object)}, Kubernetes {version}: {error.message}")


def careful(case, objects):
    """What every pod promises."""
    for object, container in containers(objects):
        where = f"{case}, {name(object)}"
        pod = object["spec"]["template"]["spec"]
        check(pod["securityContext"]["runAsNonRoot"] and pod["automountServiceAccountToken"] is False, f"{where}: root")
        security = container["securityContext"]
        check(security["readOnlyRootFilesystem"] and security["capabilities"] == {"drop": ["ALL"]}, f"{where}: writes")
        secret = [e["name"] for e in container["env"] if "secret@" in str(e.get("value"))]
        check(not secret, f"{where}: {secret} in the environment")
        mounted = {mount["name"] for mount in container["volumeMounts"] if mount["mountPath"] == "/etc/hansang/password"}
        for volume in (v["secret"] for v in pod["volumes"] if v["name"] in mounted):
            part = container["args"][1].removeprefix("--run=")
            check([item["path"] for item in volume["items"]] == [part], f"{where}: another's password: {volume}")
        if object["kind"] == "Job":
            continue
        probes = {kind: container[f"{kind}Probe"] for kind in ("startup", "readiness", "liveness")}
        by_tls = any(e["name"] == "HANSANG__GRPC__TLS__CERT_PATH" for e in container["env"])
        ask = lambda probe: probe["exec"]["command"][2].split("=")[1] if by_tls else probe["grpc"]["service"]
        probes = {kind: ask(probe) for kind, probe in probes.items()}
        asked = {"startup": "readiness", "readiness": "readiness", "liveness": "liveness"}
        check(probes == asked, f"{where}: liveness asks for more than the process, or readiness for less: {probes}")
        config = of_kind(objects, "ConfigMap")["shop-hansang-config"]["data"]["hansang.toml"]
        deadline = tomllib.loads(config)["deadline"]
        needed = (deadline["drain_ms"] + deadline["shutdown_ms"]) / 1000
        check(pod["terminationGracePeriodSeconds"] > needed, f"{where}: is killed while it stops")
        if object["kind"] == "Deployment":
            part = object["metadata"]["labels"]["app.kubernetes.io/component"]
            [keys] = [v["secret"]["items"] for v in pod["volumes"] if v["name"] == "keys"]
            private = {item["key"] for item in keys if item["key"].endswith(".pem")}
            own = {"gateway": set(), "member": {"service_key.member.pem", "signing_key.pem"}}
            if case.startswith("shared-"):
                private -= {"service_key.pem"}
            if case == "shared-sign":
                private |= {f"service_key.{part}.pem"} - {"service_key.gateway.pem"}
            check(private == own.get(part, {f"service_key.{part}.pem"}), f"{where}: has the keys {private}")
    maps = [o for o in objects if o["kind"] == "ConfigMap" and "secret@" in str(o)]
    check(not maps, f"{case}: a password in a ConfigMap")


def calls(case, objects):
    """Whom a service may call may be called by it, and the other way round."""
    part = lambda peer: peer["podSelector"]["matchLabels"].get("app.kubernetes.io/component")
    out, into = set(), set()
    for policy in of_kind(objects, "NetworkPolicy").values():
        own = policy["spec"]["podSelector"]["matchLabels"]["app.kubernetes.io/component"]
        for rule in policy["spec"]["egress"]:
            if rule.get("ports") == [{"port": 50051}]:
                out |= {(own, part(peer)) for peer in rule["to"]}
        for rule in policy["spec"].get("ingress") or []:
            if rule.get("ports") == [{"port": "grpc"}]:
                into |= {(part(peer), own) for peer in rule["from"] if "podSelector" in peer}
    check(out == into, f"{case}: network policies contradict each other: {out ^ into}")
    check("all-in-one" in case or ("payment", "mileage") in out, f"{case}: no calls")


def watched(objects):
    """Rules and dashboards come out as their files are."""
    rules = {path.stem: yaml.safe_load(path.read_text()) for path in (CHART / "rules").glob("*.yaml")}
    made = {key.removeprefix("shop-hansang-"): o["spec"] for key, o in of_kind(objects, "PrometheusRule").items()}
    check(made == rules, f"rules: {sorted(made)} of {sorted(rules)}, or not as they are")
    boards = {path.name: json.loads(path.read_text()) for path in (CHART / "dashboards").glob("*.json")}
    maps = [o["data"] for key, o in of_kind(objects, "ConfigMap").items() if "-dashboard-" in key]
    made = {file: json.loads(text) for data in maps for file, text in data.items()}
    check(made == boards, f"dashboards: {sorted(made)} of {sorted(boards)}, or not as they are")


def reloading():
    """Policies reach the gateway without a restart; anything else is a new pod."""
    pods = lambda *set: [o["spec"]["template"] for o in template(HELMS[1], "--set", DATABASE, *set) if o["kind"] == "Deployment"]
    check(pods() == pods("--set", "policies.concurrency=7"), "changed policies restart something")
    before, after = pods(), pods("--set", "config.telemetry.log=debug")
    check(all(a != b for a, b in zip(before, after)), "a changed configuration restarts nothing")
    large = template(HELMS[1], "--set", DATABASE, "--set", "config.deadline.request_ms=123456789")
    check("request_ms = 123456789" in str(of_kind(large, "ConfigMap")["shop-hansang-config"]), "a large number is lost")
    longest = template(HELMS[1], "--set", DATABASE, release="a" * 53)
    check(all(len(o["metadata"]["name"]) <= 63 for o in longest if o["kind"] == "Service"), "a name is too long")


def face():
    """Gateways alone have the pictures; the sandbox's cards are offered where no acquirer is told of."""
    def rendered(*values):
        objects = template(HELMS[1], "--set", DATABASE, *(flag for value in values for flag in ("--set", value)))
        config = of_kind(objects, "ConfigMap")["shop-hansang-config"]["data"]["hansang.toml"]
        return objects, tomllib.loads(config).get("service", {}).get("web")
    objects, _ = rendered("web.pictures.enabled=true")
    check("shop-hansang-pictures" in of_kind(objects, "PersistentVolumeClaim"), "pictures: no volume")
    have = {name(o) for o, c in containers(objects) if any(m["mountPath"] == "/pictures" for m in c["volumeMounts"])}
    check(have == {"Deployment shop-hansang-gateway"}, f"pictures: mounted by {have}")
    told = {name(o) for o, c in containers(objects) if any(e["name"] == "HANSANG__SERVICE__WEB__PICTURES" for e in c["env"])}
    check(told == have, f"pictures: told to {told}")
    objects, web = rendered("web.pictures.enabled=true", "web.enabled=false")
    check(web is None and "pictures" not in str(objects), "pictures without pages")
    objects, _ = rendered("web.pictures.enabled=true", "web.pictures.existingClaim=mine")
    check("'claimName': 'mine'" in str(objects) and not of_kind(objects, "PersistentVolumeClaim"), "pictures: a claim of their own")
    acquirer = "services.payment.settings.acquirer.url=https://api.tosspayments.com"
    by_env = "services.payment.env[0].name=HANSANG__SERVICE__PAYMENT__ACQUIRER__URL", "services.payment.env[0].value=https://x"
    for values, sandbox in (((), True), ((acquirer,), False), (by_env, False), ((acquirer, "web.sandbox=true"), True), (("web.sandbox=false",), False)):
        _, web = rendered(*values)
        check(web["sandbox"] is sandbox, f"{values}: the sandbox's cards: {web}")
    check(rendered("web.account=Bank 1-2")[1]["account"] == "Bank 1-2", "the account is lost")


# What must be refused, and what the refusal must name.
REFUSED = [
    (["mode=both"], "mode"),
    (["replicas=3"], "replicas"),
    (["services.ordr.replicas=3"], "ordr"),
    (["services.order.replica=3"], "replica"),
    (["services.order.replicas=some"], "services.order.replicas"),
    (["services.order.calls={cellar}"], "calls"),
    (["services.mileage=null"], "names mileage, which there is not"),
    (["gateway.autoscaling.minReplicas=11"], "gateway: autoscaling.minReplicas is above maxReplicas"),
    (["image.digest=latest"], "digest"),
    (["config.deadline.drain_ms=0"], "drain_ms"),
    (["config.database.pool_sise=3"], "pool_sise"),
    (["config.database.url=postgres://x"], "url"),
    (["database.url=postgres://admin@db/postgres"], "database.url"),
    (["mode=services", "database.url="], "mode `services` needs one of database.url"),
    (["policies.method.product.ListProducts.priority=urgent"], "priority"),
    (["policies.service.cellar.attempts=1"], "cellar"),
    (["database.cloudNativePG.instances=none"], "instances"),
    (["httpRoute.enabled=true", "httpRoute.parentRefs=null"], "parentRefs"),
    (["auth.externalSecret.enabled=true"], "auth.externalSecret.store.name is missing"),
    (["auth.sharedServiceKey=both"], "sharedServiceKey"),
    (["allInOne.storage=10 GB"], "storage"),
    (["networkPolicy.metricsFrom={everybody}"], "metricsFrom"),
    (["web.picture=x"], "picture"),
    (["web.pictures.storage=10 GB"], "storage"),
    (["web.sandbox=maybe"], "sandbox"),
]


def refused():
    for helm in HELMS:
        for values, named in REFUSED:
            flags = [flag for value in [DATABASE, *values] for flag in ("--set", value)]
            done = run(helm, "template", "shop", CHART, *flags)
            # Helm 3 writes a path with points, Helm 4 with slashes.
            told = done.stderr.replace("/", ".")
            check(done.returncode != 0, f"{values} is not refused")
            check(named in told, f"{values}: {named!r} is not named: {done.stderr}")


def schema():
    """The schema knows every service and every setting that the binary knows, and no other."""
    properties = json.loads((CHART / "values.schema.json").read_text())["properties"]
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    check(list(properties["services"]["properties"]) == list(values["services"]), "values.schema.json: other services")
    # What is absent unless it is set is not printed.
    told = {"HANSANG__DATABASE__SSL_MODE": "prefer", "HANSANG__DATABASE__SSL_ROOT_CERT": "ca.pem",
            "HANSANG__DATABASE__PASSWORD_PATH": "password"}
    printed = tomllib.loads(run(HANSANG, "config", "print", env=told).stdout)
    # What the chart says itself, by the environment or by flags.
    own = {"grpc.listen", "http.listen", "http.policies", "peers.template", "database.url", "database.password_path"}
    own |= {"grpc.tls", "http.tls", "peers.tls"}
    # What `up --split` alone has.
    own |= {"http.ops_faults"}
    own |= {"auth.jwks", "auth.signing_key", "auth.services_jwks", "auth.operator_key", "auth.service_key"}
    settings = {f"{section}.{key}" for section, keys in printed.items() for key in keys}
    known = {f"{s}.{key}" for s, keys in properties["config"]["properties"].items() for key in keys["properties"]}
    check(settings - own == known, f"values.schema.json, config: {sorted((settings - own) ^ known)}")


def started(case, objects, folder):
    """The binary takes what the pods give it: each one's arguments, environment and files."""
    for kind, data in (("config", "hansang.toml"), ("policies", "policies.toml")):
        (folder / kind).mkdir(parents=True, exist_ok=True)
        (folder / kind / data).write_text(of_kind(objects, "ConfigMap")[f"shop-hansang-{kind}"]["data"][data])
    keys = [v["secret"]["items"] for o in of_kind(objects, "Deployment").values()
            for v in o["spec"]["template"]["spec"]["volumes"] if v["name"] == "keys"]
    keys = {item["path"] for items in keys for item in items}
    parts = [name.removeprefix("shop-hansang-") for name in of_kind(objects, "Deployment")]
    for kind, files in (("keys", keys), ("database", ["url"]), ("password", parts), ("secrets/mail", ["url"])):
        (folder / kind).mkdir(parents=True, exist_ok=True)
        for file in files:
            (folder / kind / file).write_text("postgres://hansang_{service}@db/hansang_{service}")
    here = lambda text: text.replace("/etc/hansang", str(folder))
    for object, container in containers(objects):
        args = container["args"]
        env = {e["name"]: here(e["value"]) for e in container["env"] if "value" in e}
        flags = [here(arg) for arg in args if arg.startswith(("--config", "--grpc", "--http"))]
        done = run(HANSANG, "config", "print", *flags, env=env)
        check(done.returncode == 0, f"{case}, {name(object)}: {done.stderr}")
        part = args[1].removeprefix("--run=") if args[0] == "serve" else None
        if part == "gateway":
            yield case, [here(arg) for arg in args], env


def port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def gateway(case, args, env, folder):
    """The gateway really starts with that, is well, and stops by itself within its grace."""
    (folder / "keys/jwks.json").write_text('{"keys": []}')
    grpc, http = (f"127.0.0.1:{port()}" for _ in range(2))
    args = [arg for arg in args if not arg.startswith(("--grpc", "--http"))] + [f"--grpc={grpc}", f"--http={http}"]
    with open(folder / "gateway.log", "w") as log:
        process = subprocess.Popen([HANSANG, *args], env=env, stderr=log)
    until = time.monotonic() + 20
    well = lambda: run(HANSANG, "healthcheck", "--grpc", grpc).returncode == 0
    while not well() and time.monotonic() < until and process.poll() is None:
        time.sleep(0.1)
    check(process.poll() is None and well(), f"{case}: the gateway does not start, see {folder}/gateway.log")
    process.terminate()
    try:
        check(process.wait(60) == 0, f"{case}: the gateway does not stop well, see {folder}/gateway.log")
    except subprocess.TimeoutExpired:
        process.kill()
        wrong.append(f"{case}: the gateway does not stop")
    lines = (folder / "gateway.log").read_text().splitlines()
    check(all(json.loads(line)["level"] != "ERROR" for line in lines), f"{case}: see {folder}/gateway.log")


def main():
    began, count, custom = time.monotonic(), 0, []
    for case, objects in rendered():
        native(case, objects)
        careful(case, objects)
        calls(case, objects)
        # The other examples have nothing that these have not.
        if case in ("all-in-one", "example-managed", "example-cloudnativepg"):
            keep(case, objects)
        if case == "example-managed":
            watched(objects)
        folder = OUT / "as" / case
        for start in started(case, objects, folder):
            if case == "example-managed":
                gateway(*start, folder)
        custom += [object for object in objects if object["apiVersion"] not in OURS]
        count += len(objects)
    (OUT / "custom.json").write_text(json.dumps(custom))
    refused()
    schema()
    if not wrong:
        reloading()
        face()
    for complaint in wrong:
        print(complaint, file=sys.stderr)
    print(f"{count} objects, {len(REFUSED)} refusals, Helm 3 and 4, Kubernetes {' and '.join(KUBERNETES)}: "
          f"{len(wrong)} wrong, {time.monotonic() - began:.0f} s")
    return 1 if wrong else 0


if __name__ == "__main__":
    os.chdir(ROOT)
    sys.exit(main())
