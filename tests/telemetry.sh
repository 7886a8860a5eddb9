#!/usr/bin/env bash
# Sends the telemetry of a running deployment to a collector that is not ours, and looks at what it made
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

. tests/deployment.sh
collector=127.0.0.1:$(free)
start rotel "$(find "$python/lib" -name rotel-agent)" start \
    --otlp-grpc-endpoint "$collector" --otlp-http-endpoint "127.0.0.1:$(free)" \
    --exporter blackhole --debug-log traces --debug-log metrics --debug-log-verbosity detailed \
    --pid-file "$dir/rotel.pid"
export OTEL_EXPORTER_OTLP_ENDPOINT=http://$collector OTEL_METRIC_EXPORT_INTERVAL=1000
deployment
shop
call "$token" /v1/orders -d "$(order WALLET)" >/dev/null

for seen in 'POST /v1/orders' 'hansang.order.v1.OrderService/PlaceOrder' 'payment OrderPlaced' \
    'delivery OrderPrepared' http.server.request.duration rpc.server.call.duration hansang.events \
    db.client.connection.count process.memory.usage hansang.consumer.delay; do
    until_ grep -qF -- "$seen" "$dir/rotel.log"
    echo "  arrived  $seen"
done
