# `make` alone lists what there is to make; README.md says what each needs.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

# Everything that is built or fetched lands in one folder, so that a second run is quick.
export HINDSIGHT_CACHE ?= $(HOME)/.cache/hindsight
export CARGO_TARGET_DIR ?= $(HINDSIGHT_CACHE)/target
# Static glibc binaries run in images that hold nothing else. The explicit target keeps proc macros
# and build scripts dynamic.
export CARGO_BUILD_TARGET := $(shell rustc -vV 2>/dev/null | sed -n 's/^host: //p')
export RUSTFLAGS := -C target-feature=+crt-static
export CARGO_TERM_COLOR ?= auto

PROFILE ?= ci
BIN := $(CARGO_TARGET_DIR)/$(CARGO_BUILD_TARGET)/$(PROFILE)
RELEASE_BIN := $(CARGO_TARGET_DIR)/$(CARGO_BUILD_TARGET)/release

.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: demo
demo: ## Bring up a cluster, apply config/samples/demo.yaml and ask the querier
	@e2e/demo.sh up

.PHONY: demo-down
demo-down: ## Remove all that `make demo` made
	@e2e/demo.sh down

.PHONY: test
test: ## Run every kind of test, campaigns at a seeded sample
	@tests/run.sh

.PHONY: campaign
campaign: ## Run the full counts: NAME= one campaign, SEED=, HOURS=
	@tests/campaign.sh

.PHONY: bench
bench: ## Compare with Prometheus on the same bytes: SIZE=S|M|L, PEER= a Thanos binary
	@tests/bench.sh

.PHONY: release
release: ## Build the shipped binaries: static, stripped, LTO
	cargo build --release --locked -p cmd -p operator
	@ls -l $(RELEASE_BIN)/hindsight $(RELEASE_BIN)/hindsight-operator

.PHONY: lint
lint: ## Check formatting, clippy, and what dependencies may be
	cargo fmt --all --check
	cargo clippy --profile $(PROFILE) --locked --workspace --all-targets -- -D warnings
	@$(MAKE) deny

.PHONY: deny
deny: ## Check licences, bans, sources and advisories of the dependencies
	@tests/deny.sh

.PHONY: fmt
fmt: ## Format the code
	cargo fmt --all

.PHONY: golden
golden: ## Rewrite golden files and generated manifests; the diff is the review
	UPDATE_GOLDEN=1 cargo test --profile $(PROFILE) --locked -p operator
	cargo run -q --profile $(PROFILE) --locked -p operator -- crds > config/crd/hindsight.dev_monitoringstacks.yaml
