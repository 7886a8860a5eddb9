#!/usr/bin/env bash
# Sends a house that is up what its OpenAPI document allows, and what it does not, as a member, a
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

cargo build --quiet --workspace --bin hansang
hansang=$PWD/target/debug/hansang
dir=$(mktemp -d -t hansang-schemathesis-XXXXXX)
# Postgres's own user has to pass through.
chmod 711 "$dir"
free() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }
api=http://127.0.0.1:$(free)
# Schemathesis keeps notes where it is.
cd "$dir"
"$hansang" up --data-dir "$dir/data" --http "${api#http://}" --grpc "127.0.0.1:$(free)" >"$dir/up.log" &
up=$!
trap 'kill $up; wait $up || true; rm -rf "$dir"' EXIT
until curl -sf "$api/v1/products" >/dev/null; do
    kill -0 $up || { cat "$dir/up.log"; exit 1; }
    sleep 0.2
done

post() { curl -sSf -H 'content-type: application/json' "$api$1" -d "$2"; }
login() { post /v1/sessions "{\"email\":\"$1\",\"password\":\"$2\"}" | jq -r .accessToken; }
staff() { login "$1@hansang.local" "$(jq -r ".[] | select(.email == \"$1@hansang.local\").password" "$dir/data/logins.json")"; }
post /v1/members '{"email":"me@example.com","password":"correct horse","displayName":"Me"}' >"$dir/me"

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
