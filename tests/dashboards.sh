#!/usr/bin/env bash
# Loads a house that is up while a real Prometheus scrapes it with the chart's rules, and asks that for
# every expression of every dashboard: each has to return something. The rules have tests of their own.
set -euo pipefail
cd "$(dirname "$0")/.."
root=$PWD

tools=$root/target/tmp/prometheus
if ! command -v prometheus >/dev/null && [ ! -x "$tools/usr/bin/prometheus" ]; then
    # Debian's package, beside the system: installed, it would run a service.
    mkdir -p "$tools/package"
    (cd "$tools/package" && apt-get -o APT::Sandbox::User=root download -qq prometheus)
    dpkg -x "$tools"/package/prometheus_*.deb "$tools"
fi
PATH=$PATH:$tools/usr/bin
promtool check rules helm/hansang/rules/hansang.rules.yaml
promtool test rules tests/rules.test.yaml

cargo build --quiet --workspace --bin hansang
hansang=$root/target/debug/hansang
dir=$(mktemp -d -t hansang-dashboards-XXXXXX)
# Postgres's own user has to pass through.
chmod 711 "$dir"
free() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }
api=http://127.0.0.1:$(free) grpc=127.0.0.1:$(free) prometheus=127.0.0.1:$(free)
trap 'kill $(jobs -p) 2>/dev/null || true; wait; rm -rf "$dir"' EXIT

"$hansang" up --data-dir "$dir/data" --http "${api#http://}" --grpc "$grpc" >"$dir/up.log" 2>&1 &
cat >"$dir/prometheus.yml" <<YAML
global: { scrape_interval: 1s, evaluation_interval: 1s }
rule_files: [$root/helm/hansang/rules/hansang.rules.yaml]
scrape_configs: [{ job_name: hansang, static_configs: [{ targets: ["$grpc"] }] }]
YAML
prometheus --config.file "$dir/prometheus.yml" --storage.tsdb.path "$dir/tsdb" \
    --enable-feature exemplar-storage --web.listen-address "$prometheus" >"$dir/prometheus.log" 2>&1 &
until curl -sf "$api/v1/products" >/dev/null; do
    kill -0 %1 %2 || { cat "$dir"/*.log; exit 1; }
    sleep 0.2
done

# As in the README.
call() { curl -sSf -H 'content-type: application/json' -H "authorization:${1:+ Bearer $1}" "$api$2" "${@:3}"; }
login() { call '' /v1/sessions -d "{\"email\":\"$1\",\"password\":\"$2\"}" | jq -r .accessToken; }
won() { echo "{\"currencyCode\":\"KRW\",\"units\":\"$1\"}"; }
seller=$(login seller@hansang.local "$(jq -r '.[] | select(.role == "SELLER").password' "$dir/data/logins.json")")
me=$(call '' /v1/members -d '{"email":"me@example.com","password":"correct horse","displayName":"Me"}' | jq -r .id)
token=$(login me@example.com 'correct horse')
product=$(call "$seller" /v1/products -d "{\"displayName\":\"Table\",\"price\":$(won 1000),\"stock\":9999}" | jq -r .id)
call "$token" "/v1/members/$me/wallet:topUp" -d "{\"amount\":$(won 9999999)}" >/dev/null
order() { echo "{\"paymentMethod\":\"$1\",\"cardToken\":\"$2\",\"lines\":[{\"productId\":\"$product\",\"quantity\":${3:-1}}]}"; }

trace=4bf92f3577b34da6a3ce929d0e0e4736

# Reads, writes and refusals, until all has been asked.
"$hansang" load "$api/v1/products" --rate 20 --for 600 >/dev/null 2>&1 &
"$hansang" load "$api/v1/orders" --rate 3 --for 600 --token "$token" --body "$(order WALLET '')" >/dev/null 2>&1 &
"$hansang" load "$api/v1/orders" --rate 1 --for 600 --token "$token" --body "$(order CARD tok_visa)" >/dev/null 2>&1 &
"$hansang" load "$api/v1/orders" --rate 1 --for 600 --token "$token" --body "$(order BANK_TRANSFER '' 99999)" >/dev/null 2>&1 &
some() {
    call '' /v1/members -d "{\"email\":\"$RANDOM$RANDOM@example.com\",\"password\":\"correct horse\",\"displayName\":\"Kim\"}" >/dev/null
    id=$(call "$token" /v1/orders -d "$(order CARD tok_visa)" | jq -r .id)
    call "$token" "/v1/orders/$id:cancel" -d '{}' >/dev/null
    curl -s "$api/v1/nothing" >/dev/null
    # Somebody who keeps a trace: the example in the histogram.
    curl -sf -H "traceparent: 00-$trace-00f067aa0ba902b7-01" "$api/v1/products" >/dev/null
}

# What is not there yet may be a moment later.
ask() { curl -sS "http://$prometheus/api/v1/query" --data-urlencode "query=$1" | jq -c '.data.result // .error'; }
jq -r '.title as $title | .panels[] | .title as $panel | .targets[] | [$title, $panel, .expr] | @tsv' \
    helm/hansang/dashboards/*.json >"$dir/panels"
began=$SECONDS
while :; do
    some
    : >"$dir/missing"
    while IFS=$'\t' read -r title panel expr; do
        # As Grafana does with "All"; the windows of the objectives' rules are as they are.
        expr=${expr//\$__rate_interval/15s}
        answer=$(ask "${expr//\$service/.+}")
        jq -e 'type == "array" and length > 0 and any(.[]; .value[1] != "NaN")' <<<"$answer" >/dev/null 2>&1 ||
            printf '%s / %s: %s: %s\n' "$title" "$panel" "$expr" "${answer:0:200}" >>"$dir/missing"
    done <"$dir/panels"
    [ -s "$dir/missing" ] || break
    if [ $((SECONDS - began)) -gt 120 ]; then
        echo "dashboards: nothing, after two minutes, for"
        cat "$dir/missing"
        exit 1
    fi
done
curl -sS "http://$prometheus/api/v1/query_exemplars" -d "start=$(($(date +%s) - 600))" -d "end=$(date +%s)" \
    -d query=http_server_request_duration_seconds_bucket |
    jq -e --arg trace "$trace" 'any(.data[].exemplars[]; .labels.trace_id == $trace)' >/dev/null ||
    { echo "dashboards: Prometheus has no example of the trace"; exit 1; }
dashboards=(helm/hansang/dashboards/*)
echo "dashboards: $(wc -l <"$dir/panels") expressions of ${#dashboards[@]} dashboards return data"
