#!/usr/bin/env bash
# The full counts behind `make test`'s samples; `make campaign` calls it.
#
#   make campaign                                 every campaign
#   make campaign NAME=differential               one of them
#   make campaign NAME=differential SEED=7        with another seed
#   make campaign NAME=differential HOURS=8       as much as fits into eight hours
#
# Results go to target/campaign/<name>.json with seed, counts and the smallest query of each
# difference. A campaign that was stopped goes on where its file ends; remove the file to begin anew.
# Ends with a status other than 0 where answers differ.
set -euo pipefail
cd "$(dirname "$0")/.."
name=${NAME:-all}
profile=${PROFILE:-ci}
results=$PWD/target/campaign
export HINDSIGHT_CACHE=${HINDSIGHT_CACHE:-$HOME/.cache/hindsight}
# More expressions than any number of hours gets through.
endless=1000000000

# Random PromQL, instant and range, to a real Prometheus, to the engine, and to store and query.
differential() {
    echo "campaign: differential, building what it needs"
    HINDSIGHT_PROMETHEUS=$(e2e/modules/build.sh prometheus)
    cargo build --profile "$profile" --locked -p cmd
    local bin=${CARGO_TARGET_DIR:-target}/${CARGO_BUILD_TARGET:+$CARGO_BUILD_TARGET/}$profile
    HINDSIGHT_BIN=$(realpath "$bin/hindsight")
    local count=10000
    if [ -n "${HOURS:-}" ]; then count=$endless; fi
    export HINDSIGHT_PROMETHEUS HINDSIGHT_BIN
    export HINDSIGHT_CAMPAIGN=${HINDSIGHT_CAMPAIGN:-$count}
    export HINDSIGHT_SEED=${SEED:-1} HINDSIGHT_HOURS=${HOURS:-}
    export HINDSIGHT_RESULTS=$results/differential.json
    CI=true cargo test --profile "$profile" --locked -p hindsight-tests --test it \
        differential::generated_expressions_answer_as_prometheus -- --exact
    echo "campaign: differential is in $HINDSIGHT_RESULTS"
}

case $name in
    all | differential) differential ;;
    *) echo "campaign: there is no campaign \"$name\"; known: differential" >&2; exit 2 ;;
esac
