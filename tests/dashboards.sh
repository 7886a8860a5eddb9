#!/usr/bin/env bash
# Loads a running deployment while a real Prometheus scrapes it with the chart's rules, and asks that for
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

. tests/deployment.sh
deployment
cat >"$dir/prometheus.yml" <<YAML
global: { scrape_interval: 1s, evaluation_interval: 1s }
rule_files: [$root/helm/hansang/rules/hansang.rules.yaml]
scrape_configs: [{ job_name: hansang, static_configs: [{ targets: ["$grpc"] }] }]
YAML
prometheus=127.0.0.1:$(free)
start prometheus prometheus --config.file "$dir/prometheus.yml" --storage.tsdb.path "$dir/tsdb" \
    --enable-feature exemplar-storage --web.listen-address "$prometheus"
shop

trace=4bf92f3577b34da6a3ce929d0e0e4736

# Reads, writes and refusals, until all has been asked.
"$hansang" load "$api/v1/products" --rate 20 --for 600 >/dev/null 2>&1 &
"$hansang" load "$api/v1/orders" --rate 3 --for 600 --token "$token" --body "$(order WALLET)" >/dev/null 2>&1 &
"$hansang" load "$api/v1/orders" --rate 1 --for 600 --token "$token" --body "$(order CARD)" >/dev/null 2>&1 &
"$hansang" load "$api/v1/orders" --rate 1 --for 600 --token "$token" --body "$(order BANK_TRANSFER 99999)" >/dev/null 2>&1 &
some() {
    call '' /v1/members -d "{\"email\":\"$RANDOM$RANDOM@example.com\",\"password\":\"correct horse\",\"displayName\":\"Kim\"}" >/dev/null
    id=$(call "$token" /v1/orders -d "$(order CARD)" | jq -r .id)
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
        cat "$dir/missing"
        failed 'nothing of this after two minutes'
    fi
done
curl -sS "http://$prometheus/api/v1/query_exemplars" -d "start=$(($(date +%s) - 600))" -d "end=$(date +%s)" \
    -d query=http_server_request_duration_seconds_bucket |
    jq -e --arg trace "$trace" 'any(.data[].exemplars[]; .labels.trace_id == $trace)' >/dev/null ||
    failed 'Prometheus has no example of the trace'
dashboards=(helm/hansang/dashboards/*)
echo "dashboards: $(wc -l <"$dir/panels") expressions of ${#dashboards[@]} dashboards return data"
