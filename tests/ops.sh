#!/usr/bin/env bash
# Looks at /ops of a running deployment as a person does, with Chromium: what its script makes of the page, that
# the page's policy lets it, how it looks; and signs in where it is not open, to see how an order came along.
set -euo pipefail
cd "$(dirname "$0")/.."

if ! command -v chromium >/dev/null || ! command -v chromedriver >/dev/null; then
    .ci/packages chromium chromium-driver
fi

shots=$PWD/target/tmp/ops
mkdir -p "$shots"
. tests/deployment.sh
deployment
shop
order=$(call "$token" /v1/orders -d "$(order WALLET)" | jq -r .id)
under_way() { [ "$(call "$token" "/v1/orders/$order" | jq -r .state)" = DELIVERING ]; }
until_ under_way

# Two looks, for which virtual time passes: what the script alone can know is there.
browser=(chromium --headless --no-sandbox --disable-gpu --user-data-dir="$dir/profile" --window-size="1280,1800")
"${browser[@]}" --virtual-time-budget=8000 --enable-logging=stderr --dump-dom "$api/ops" >"$dir/page" 2>"$dir/chromium.log"
for shown in 'id="services-up">9 / 9<' 'requests per second' 'Rates and times of the last' 'As of ' \
    'data-route="POST /v1/orders"' 'data-consumer="mypage" data-source="order"' 'data-service="notification"'; do
    grep -qF "$shown" "$dir/page" || failed "no $shown in $(cat "$dir/page")"
done
if grep -E 'CONSOLE.*(Refused|Uncaught|Error|violates)' "$dir/chromium.log"; then failed 'the console complains'; fi

# Of more than one colour, and by more than a stripe.
shot() {
    python3 - "$1" <<'PYTHON'
import struct, sys, zlib
data = open(sys.argv[1], "rb").read()
width, height = struct.unpack(">II", data[16:24])
at, packed = 8, b""
while at < len(data):
    length, kind = struct.unpack(">I4s", data[at:at + 8])
    packed += data[at + 8:at + 8 + length] if kind == b"IDAT" else b""
    at += length + 12
raw = zlib.decompress(packed)
stride = len(raw) // height
written = sum(len(set(raw[row * stride + 1:(row + 1) * stride])) > 8 for row in range(height))
if width < 1000 or written < height // 5:
    sys.exit(f"ops: {sys.argv[1]} is blank: {width} by {height}, {written} lines with something on them")
print(f"ops: {sys.argv[1]}: {width} by {height}, {written} lines with something on them")
PYTHON
}
"${browser[@]}" --hide-scrollbars --virtual-time-budget=8000 --screenshot="$shots/light.png" "$api/ops" 2>/dev/null
"${browser[@]}" --hide-scrollbars --virtual-time-budget=8000 --blink-settings=preferredColorScheme=0 \
    --screenshot="$shots/dark.png" "$api/ops" 2>/dev/null
shot "$shots/light.png"
shot "$shots/dark.png"
cmp -s "$shots/light.png" "$shots/dark.png" && failed 'light is dark'

# A gateway that is for admins, in front of the same services.
admins=127.0.0.1:$(free)
export HANSANG__AUTH__JWKS_FILE=$dir/data/keys/jwks.json HANSANG__PEERS__TEMPLATE=http://$grpc
start gateway "$hansang" serve --run gateway --http "$admins" --grpc "127.0.0.1:$(free)"
until_ curl -sf "http://$admins/healthz"
[ "$(curl -s -o "$dir/refused" -w '%{http_code}' "http://$admins/ops")" = 401 ] || failed 'it is open'
jq -e '.reason == "UNAUTHENTICATED"' "$dir/refused" >/dev/null

# Signs in and looks an order up, as a person at the keyboard does.
drive() { curl -sS "http://$driver/session${session:+/$session}$1" "${@:2}"; }
driver=127.0.0.1:$(free)
start driver chromedriver --port="${driver#*:}"
ready() { curl -sf "http://$driver/status" | jq -e .value.ready; }
until_ ready
options='["--headless", "--no-sandbox", "--disable-gpu", "--window-size=1280,2400"]'
session=$(drive '' -d "{\"capabilities\":{\"alwaysMatch\":{\"goog:chromeOptions\":{\"args\":$options}}}}" | jq -r .value.sessionId)
trap 'drive "" -X DELETE >/dev/null; kill $(jobs -p) 2>/dev/null || true; wait; rm -rf "$dir"' EXIT
element() { drive /element -d "{\"using\":\"css selector\",\"value\":\"$1\"}" | jq -r '.value | to_entries[0].value'; }
types() { drive "/element/$(element "$1")/value" -d "$(jq -n --arg text "$2" '{$text}')" >/dev/null; }
shown() { drive /source | jq -r .value | grep -qF "$1"; }
shows() { until_ shown "$1"; }
drive /url -d "{\"url\":\"http://$admins/ops\"}" >/dev/null
types '[name=email]' admin@hansang.local
types '[name=password]' "$(password ADMIN)"$'\n'
shows 'id="services-up">9 / 9<'
types '[name=order]' "$order"$'\n'
shows '<dd>DELIVERING</dd>'
shows '<td>배송중</td>'
drive /source | jq -r .value | grep -qE '<td class="trace">[0-9a-f]{32}<' || failed 'the history has no traces'
drive /screenshot | jq -r .value | base64 -d >"$shots/order.png"
shot "$shots/order.png"
echo "ops: figures without Grafana, two looks, an order's history"
