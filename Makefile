# Penstock's jobs. `make help` lists them.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

# Flags of `penstock up` for `make run`: the demo, unless you say something else.
ARGS ?= --demo
TARGET := $(or $(CARGO_TARGET_DIR),target)
# `release` is quick to build; `dist` is what is shipped.
PROFILE ?= release
PROGRAMS := --bin penstock --bin penstock-controller --bin penstock-proxy --bin penstock-simulator

# As shipped, the proxy is built by itself, because beside the others it would hold what they want of shared libraries,
# and with its relocations packed, where libc can read them: both are pages that every sidecar would have.
PACKED = $(shell grep -qs GLIBC_ABI_DT_RELR /lib/*/libc.so.6 /lib64/libc.so.6 && echo -C link-arg=-Wl,-z,pack-relative-relocs)
define DIST_PROXY
cargo rustc --locked --profile dist -p penstock-proxy --bin penstock-proxy -- $(PACKED)
endef
DIST_OTHERS := $(filter-out penstock-proxy,$(filter-out --bin,$(PROGRAMS)))

.PHONY: help
help: ## List the jobs
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: run
run: ## Build and start everything on this machine; ARGS="…" are flags of `penstock up` (default: --demo)
	.ci/setup run
	$(MAKE) --no-print-directory build PROFILE=release
	exec $(TARGET)/release/penstock up $(ARGS)

.PHONY: build
build: dashboard/dist/index.html ## Build the dashboard and the programs, optimised; PROFILE=dist for what is shipped
ifeq ($(PROFILE),dist)
	$(DIST_PROXY)
	cargo build --locked --profile dist $(addprefix --bin ,$(DIST_OTHERS))
else
	cargo build --locked --profile $(PROFILE) $(PROGRAMS)
endif

.PHONY: images
images: build ## Build the container images without Docker into target/images; PROFILE=dist for what is shipped
	.ci/setup images
	.ci/images --programs $(TARGET)/$(PROFILE) --out $(TARGET)/images \
	  --limits $(if $(filter dist,$(PROFILE)),unpacked,packed)

dashboard/node_modules: dashboard/package-lock.json
	# Not `npm ci`: it fails where a registry lacks optional parts for other platforms.
	cd dashboard && npm install --no-save --no-audit --no-fund --loglevel=error
	@touch $@

dashboard/dist/index.html: dashboard/node_modules $(shell find dashboard/src dashboard/index.html controller/openapi.json -type f 2>/dev/null)
	cd dashboard && npm run --silent build

.PHONY: test
test: ## Run every check and every test, with all real parts (Postgres, browser, SDKs, CLIs)
	.ci/setup test
	$(MAKE) --no-print-directory lint
	$(MAKE) --no-print-directory kubernetes
	$(MAKE) --no-print-directory dashboard/dist/index.html
	cargo build --locked --workspace --bins
	cargo test --locked --workspace --exclude penstock-e2e --no-fail-fast
	$(MAKE) --no-print-directory e2e
	$(MAKE) --no-print-directory proof
	cd dashboard && npm run --silent test
	$(MAKE) --no-print-directory clients

.PHONY: kubernetes
kubernetes: ## Build the parts of the test cluster into a cache outside the checkout (minutes, once)
	controller/e2e/prepare kubernetes
	controller/e2e/prepare node
	controller/e2e/prepare calico
	controller/e2e/prepare app-python
	controller/e2e/prepare app-node

.PHONY: e2e
e2e: kubernetes ## Install and drive Penstock in a real Kubernetes of the tests' own (as root), or in PENSTOCK_E2E_KUBECONFIG
	cargo build --locked $(PROGRAMS)
	.ci/tidily cargo test --locked -p penstock-e2e --no-fail-fast

.PHONY: proof
proof: kubernetes ## Install the chart into a real cluster and keep it serving while its parts are killed, rolled and upgraded
	cargo build --locked $(PROGRAMS)
	.ci/tidily cargo test --locked -p penstock-e2e --test proof --no-fail-fast -- --test-threads=1

.PHONY: cluster
cluster: kubernetes ## Bring up a Kubernetes to look into, until Ctrl-C; ARGS="image.tar …" loads images
	cargo build --locked --quiet -p penstock-e2e --bin cluster
	exec $(TARGET)/debug/cluster $(filter-out --demo,$(ARGS))

.PHONY: clients
clients: ## Drive the real SDKs, Claude Code and Codex through a pool that fails over
	cargo build --locked $(PROGRAMS)
	proxy/tests/clients/run $(TARGET)/debug

.PHONY: lint
lint: dashboard/node_modules ## Check formatting, lints and the rules of the house
	cargo fmt --all --check
	.ci/check-house
	cargo clippy --locked --workspace --all-targets -- --deny warnings
	# Left out of all targets, because it does not run with the other tests.
	cargo clippy --locked -p penstock-e2e --test proof -- --deny warnings
	cd dashboard && npm run --silent lint

.PHONY: fmt
fmt: dashboard/node_modules ## Format everything
	cargo fmt --all
	cd dashboard && npm run --silent fmt

.PHONY: bench
bench: ## Measure side by side: direct, nginx, Penstock with everything on; results explained in docs/benchmarks.md
	.ci/setup bench
	$(DIST_PROXY)
	cargo build --locked --profile dist $(addprefix --bin ,$(DIST_OTHERS))
	cargo bench --locked -p penstock-proxy --bench side_by_side -- --programs $(TARGET)/dist
	cargo bench --locked -p penstock-controller --bench ingest

.PHONY: crds
crds: ## Write what is generated from the Kubernetes types: definitions, the chart's copy, reference pages
	cargo run --locked --quiet -p penstock-crds --bin crdgen -- .

.PHONY: openapi
openapi: ## Write the API's OpenAPI document and the dashboard's client from it
	cargo run --locked --quiet -p penstock-controller --bin openapi > controller/openapi.json
	cd dashboard && npm run --silent generate

.PHONY: clean
clean: ## Remove what was built
	cargo clean
	rm -rf dashboard/dist dashboard/node_modules
