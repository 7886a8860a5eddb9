#!/usr/bin/env bash
# Whether the binary and the chart are of this version: version.sh 1.2.3
set -euo pipefail
cd "$(dirname "$0")/../.."
failed=0
named() {
    grep -qxF "$2" "$1" || { echo "$1 does not say: $2" >&2; failed=1; }
}
named Cargo.toml "version = \"$1\""
named helm/hansang/Chart.yaml "version: $1"
named helm/hansang/Chart.yaml "appVersion: \"$1\""
exit $failed
