#!/usr/bin/env bash
# Every kind of test, campaigns at a seeded sample. `make test` calls it; so does CI.
#
#   tests/run.sh            all of it
#   tests/run.sh fast       what needs no cluster and no root
#
# Servers that tests need (Prometheus, an S3, Kubernetes) are built from pinned Go modules into the
# cache and started by the tests themselves. Ends with one line: N passed, N failed, N skipped.
set -euo pipefail
cd "$(dirname "$0")/.."
part=${1:-all}
export HINDSIGHT_CACHE=${HINDSIGHT_CACHE:-$HOME/.cache/hindsight}
profile=${PROFILE:-ci}
log=$(mktemp)
trap 'rm -f "$log"' EXIT

started=$SECONDS
say() { printf '\n== %s (%ds)\n' "$1" $((SECONDS - started)); }
missing() { echo "test: $1 is missing: $2" >&2; exit 1; }

command -v cargo >/dev/null || missing cargo "install Rust with rustup; rust-toolchain.toml names the version"
command -v go >/dev/null || missing go "install Go 1.26 or later; real servers are built from Go modules"
if [ "$part" = all ]; then e2e/prepare.sh; fi

say "foreign parts (cached in $HINDSIGHT_CACHE/bin)"
parts="prometheus versitygw fake-gcs-server gopeer kubernetes"
if command -v npm >/dev/null; then parts="$parts azurite"; fi
if [ "$part" = all ]; then parts="$parts coredns local-path-provisioner pause"; fi
# shellcheck disable=SC2086 # a list of words
folders=$(e2e/modules/build.sh $parts)
folder() { grep -m1 "/$1-[0-9a-f]*$" <<<"$folders"; }
export HINDSIGHT_PROMETHEUS=$(folder prometheus)
export HINDSIGHT_VERSITYGW=$(folder versitygw)/versitygw
export HINDSIGHT_FAKE_GCS_SERVER=$(folder fake-gcs-server)/fake-gcs-server
# Without npm the Azure test prints a skip, and fails where CI=true.
if azurite=$(folder azurite); then export HINDSIGHT_AZURITE=$azurite/node_modules/.bin/azurite-blob; fi
export HINDSIGHT_GOPEER=$(folder gopeer)/gopeer
export HINDSIGHT_KUBERNETES=$(folder kubernetes)

say "formatting, lints, dependencies"
make lint

# One graph for binaries and tests: building them apart would compile most rooms twice.
say "binaries and tests"
cargo build --profile "$profile" --locked --workspace --lib --bins --tests
bin=${CARGO_TARGET_DIR:-target}/${CARGO_BUILD_TARGET:+$CARGO_BUILD_TARGET/}$profile
export HINDSIGHT_BIN=$(realpath "$bin/hindsight")
export HINDSIGHT_OPERATOR_BIN=$(realpath "$bin/hindsight-operator")
export HINDSIGHT_CLUSTER_BIN=$(realpath "$bin/hindsight-cluster")

select=(--workspace)
if [ "$part" = all ]; then
    say "all tests; the last, end to end on the embedded cluster, takes a quarter of an hour"
else
    say "all tests but those that need a cluster"
    select+=(--exclude e2e)
fi
failed=0
# All test binaries run even where one fails; the status is kept.
cargo test --profile "$profile" --locked --no-fail-fast "${select[@]}" 2>&1 | tee "$log" || failed=1

count() { sed -n "s/^test result:.* \([0-9]*\) $1.*/\1/p" "$log" | awk '{ n += $1 } END { print n + 0 }'; }
# A test that cannot run here prints a line "SKIP: why"; where CI=true it fails instead.
skipped=$(grep -c '^SKIP: ' "$log" || true)
say "done"
grep '^SKIP: ' "$log" || true
echo "$(count passed) passed, $(count failed) failed, $skipped skipped"
exit "$failed"
