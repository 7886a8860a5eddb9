#!/usr/bin/env bash
# Sends the telemetry of a house that is up to a collector that is not ours, and looks at what it made
# of it: spans of the gateway and of the services, and metrics of all kinds.
set -euo pipefail
cd "$(dirname "$0")/.."
version=0.0.1a15

python=$PWD/target/tmp/rotel-$version
if [ ! -e "$python/done" ]; then
    python3 -m venv --clear "$python"
    "$python/bin/python3" -m pip install --quiet "rotel==$version"
    touch "$python/done"
fi

cargo build --quiet --workspace --bin hansang
hansang=$PWD/target/debug/hansang
rotel=$(find "$python/lib" -name rotel-agent)
dir=$(mktemp -d -t hansang-telemetry-XXXXXX)
# Postgres's own user has to pass through.
chmod 711 "$dir"
free() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }
collector=127.0.0.1:$(free) api=http://127.0.0.1:$(free) grpc=127.0.0.1:$(free)
trap 'kill $(jobs -p) 2>/dev/null; wait; rm -rf "$dir"' EXIT

"$rotel" start --otlp-grpc-endpoint "$collector" --otlp-http-endpoint "127.0.0.1:$(free)" \
    --exporter blackhole --debug-log traces --debug-log metrics --debug-log-verbosity detailed \
    --pid-file "$dir/rotel.pid" >"$dir/rotel.log" 2>&1 &
rotel_pid=$!
export OTEL_EXPORTER_OTLP_ENDPOINT=http://$collector OTEL_METRIC_EXPORT_INTERVAL=1000
"$hansang" up --data-dir "$dir/data" --http "${api#http://}" --grpc "$grpc" >"$dir/up.log" 2>&1 &
up=$!

# Until it is so, for a minute.
until_() {
    for _ in $(seq 300); do
        if "$@" >/dev/null 2>&1; then return; fi
        if ! { kill -0 $up && kill -0 $rotel_pid; }; then break; fi
        sleep 0.2
    done
    echo "telemetry: not within a minute: $*"
    tail -n 20 "$dir/up.log" "$dir/rotel.log"
    exit 1
}
until_ curl -sf "$api/v1/products"

# As in the README.
call() { curl -sSf -H 'content-type: application/json' -H "authorization:${1:+ Bearer $1}" "$api$2" "${@:3}"; }
login() { call '' /v1/sessions -d "{\"email\":\"$1\",\"password\":\"$2\"}" | jq -r .accessToken; }
won() { echo "{\"currencyCode\":\"KRW\",\"units\":\"$1\"}"; }
seller=$(login seller@hansang.local "$(jq -r '.[] | select(.role == "SELLER").password' "$dir/data/logins.json")")
me=$(call '' /v1/members -d '{"email":"me@example.com","password":"correct horse","displayName":"Me"}' | jq -r .id)
token=$(login me@example.com 'correct horse')
product=$(call "$seller" /v1/products -d "{\"displayName\":\"Table\",\"price\":$(won 1000),\"stock\":9}" | jq -r .id)
call "$token" "/v1/members/$me/wallet:topUp" -d "{\"amount\":$(won 9999)}" >/dev/null
call "$token" /v1/orders -d "{\"paymentMethod\":\"WALLET\",\"lines\":[{\"productId\":\"$product\",\"quantity\":1}]}" >/dev/null

for seen in 'POST /v1/orders' 'hansang.order.v1.OrderService/PlaceOrder' 'payment OrderPlaced' \
    'delivery OrderPrepared' http.server.request.duration rpc.server.call.duration hansang.events \
    db.client.connection.count process.memory.usage hansang.consumer.delay; do
    until_ grep -qF -- "$seen" "$dir/rotel.log"
    echo "  arrived  $seen"
done
