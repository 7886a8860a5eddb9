# shellcheck shell=bash
# For the checks that look at a deployment from outside, which source this: a running deployment on free ports,
# in a directory of its own, with everything that was started beside it; all of it goes in the end.

if [ -z "${HANSANG:-}" ]; then
    cargo build --quiet --workspace --bin hansang
    HANSANG=$PWD/target/debug/hansang
fi
hansang=$HANSANG
dir=$(mktemp -d -t "hansang-$(basename "$0" .sh)-XXXXXX")
# Postgres's own user has to pass through.
chmod 711 "$dir"
trap 'kill $(jobs -p) 2>/dev/null || true; wait; rm -rf "$dir"' EXIT

free() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }
failed() {
    echo "$(basename "$0" .sh): $1"
    exit 1
}

# NAME COMMAND...: starts a part, which is to run until the end; $dir/NAME.log is what it says.
parts=()
start() {
    "${@:2}" >"$dir/$1.log" 2>&1 &
    parts+=($!)
}

# COMMAND...: until it succeeds, for a minute, and as long as all parts run.
until_() {
    local part last=$((SECONDS + 60))
    until "$@" >/dev/null 2>&1; do
        for part in "${parts[@]}"; do kill -0 "$part" 2>/dev/null || last=0; done
        if [ $SECONDS -ge $last ]; then
            tail -n 20 "$dir"/*.log
            failed "not within a minute: $*"
        fi
        sleep 0.1
    done
}

# Brings the deployment up, with $split a process per service; $api and $grpc are where.
deployment() {
    api=http://127.0.0.1:$(free) grpc=127.0.0.1:$(free)
    start up "$hansang" up --data-dir "$dir/data" --http "${api#http://}" --grpc "$grpc" ${split:+"--split"}
    until_ curl -sf "$api/v1/products"
}

# As in the README. TOKEN PATH ARGUMENTS-OF-CURL...
call() { curl -sSf -H 'content-type: application/json' -H "authorization:${1:+ Bearer $1}" "$api$2" "${@:3}"; }
login() { call '' /v1/sessions -d "{\"email\":\"$1\",\"password\":\"$2\"}" | jq -r .accessToken; }
password() { jq -r ".[] | select(.role == \"$1\").password" "$dir/data/logins.json"; }
won() { echo "{\"currencyCode\":\"KRW\",\"units\":\"$1\"}"; }
# METHOD QUANTITY
order() {
    echo "{\"paymentMethod\":\"$1\",\"cardToken\":\"tok_visa\",\"lines\":[{\"productId\":\"$product\",\"quantity\":${2:-1}}]}"
}

# A member with a full wallet, and something to buy: $seller and $token sign them in, $me and $product are ids.
shop() {
    seller=$(login seller@hansang.local "$(password SELLER)")
    me=$(call '' /v1/members -d '{"email":"me@example.com","password":"correct horse","displayName":"Me"}' | jq -r .id)
    token=$(login me@example.com 'correct horse')
    product=$(call "$seller" /v1/products -d "{\"displayName\":\"Table\",\"price\":$(won 1000),\"stock\":9999}" | jq -r .id)
    call "$token" "/v1/members/$me/wallet:topUp" -d "{\"amount\":$(won 9999999),\"cardToken\":\"tok_visa\"}" >/dev/null
}
