#!/usr/bin/env bash
# Holds the Helm chart against Helm 3 and 4, Kubernetes' schemas, those of the custom resources, checkov, and
# the binary, and plays it with processes. Installs what it needs below target/, and needs no cluster. HANSANG
# names a binary that is there.
set -euo pipefail
cd "$(dirname "$0")/../.."
source tests/delivery/tools.sh

out=$PWD/target/tmp/chart
rm -rf "$out"
mkdir -p "$out"
helms
python chart kubernetes-validate==1.37.0 PyYAML==6.0.3
python checkov checkov==3.3.30
models=(prometheus-operator@6.0.0 gateway-api@2.0.0 cloudnative-pg@2.0.0 external-secrets@2.0.0)
node_packages crds "${models[@]/#/@kubernetes-models/}" typescript@5.9.3
if [ -z "${HANSANG:-}" ]; then
    cargo build --quiet --workspace --bin hansang
    HANSANG=$PWD/target/debug/hansang
fi

failed=0
"$tools/chart/bin/python3" tests/delivery/chart.py "$helm3" "$helm4" "$HANSANG" "$out" || failed=1
cp tests/delivery/crds.mjs "$tools/crds"
(cd "$tools/crds" && node crds.mjs "$out/custom.json") || failed=1
"$tools/checkov/bin/checkov" --config-file helm/checkov.yaml --directory "$out/rendered" || failed=1
"$tools/chart/bin/python3" tests/delivery/deployment.py "$helm4" "$HANSANG" || failed=1
exit $failed
