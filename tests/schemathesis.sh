#!/usr/bin/env bash
# Sends a running deployment what its OpenAPI document allows, and what it does not, as a member, a
# seller and an admin: no 5xx, no status, header or body that the document does not tell of, nothing
# without a token that needs one. What must always hold, holds afterwards.
set -euo pipefail
cd "$(dirname "$0")/.."
version=4.32.5
examples=${1:-10}

python=$PWD/target/tmp/schemathesis-$version
if [ ! -e "$python/done" ]; then
    python3 -m venv --clear "$python"
    "$python/bin/python3" -m pip install --quiet "schemathesis==$version"
    touch "$python/done"
fi

. tests/deployment.sh
deployment
# Schemathesis keeps notes where it is.
cd "$dir"
staff() { login "$1@hansang.local" "$(password "${1^^}")"; }
call '' /v1/members -d '{"email":"me@example.com","password":"correct horse","displayName":"Me"}' >/dev/null

# The document has no lengths and ranges: what it allows may be refused with 400. A watch has no end to
# wait for. Whoever withdraws, or has others withdraw, is nobody afterwards: that comes last.
as() {
    cat >schemathesis.toml <<TOML
[auth.openapi.bearer]
bearer = "$2"
TOML
    echo "-- as $1"
    "$python/bin/schemathesis" run "$api/openapi.json" \
        --checks all --exclude-checks positive_data_acceptance \
        --max-examples "$examples" --seed 1 --warnings off "${@:3}"
}
failed=0
as member "$(login me@example.com 'correct horse')" --exclude-path-regex ':(watch|withdraw)$' || failed=1
as seller "$(staff seller)" --exclude-path-regex ':(watch|withdraw)$' || failed=1
as admin "$(staff admin)" --exclude-path-regex ':(watch|withdraw)$' || failed=1
as admin "$(staff admin)" --include-path-regex ':withdraw$' || failed=1
"$hansang" verify --data-dir "$dir/data" || failed=1
exit $failed
