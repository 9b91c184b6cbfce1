#!/usr/bin/env bash
# `make bench`: release binaries against Prometheus on the same blocks; prints README's table.
#
#   SIZE=S|M|L   share of the data set's series (default M)
#   PAIRS=7      alternating pairs a row       ONLY=rate   rows whose query contains it
#   PEER=path    a binary with Thanos' command line, measured beside ours
set -euo pipefail
cd "$(dirname "$0")/.."
export HINDSIGHT_CACHE=${HINDSIGHT_CACHE:-$HOME/.cache/hindsight}
HINDSIGHT_PROMETHEUS=$(e2e/modules/build.sh prometheus)
HINDSIGHT_GOPEER=$(e2e/modules/build.sh gopeer)/gopeer
echo "bench: building the release binary (LTO; some minutes the first time)" >&2
cargo build --quiet --release --locked -p cmd
HINDSIGHT_BIN=$(realpath "${CARGO_TARGET_DIR:-target}/${CARGO_BUILD_TARGET:+$CARGO_BUILD_TARGET/}release/hindsight")
export HINDSIGHT_PROMETHEUS HINDSIGHT_GOPEER HINDSIGHT_BIN

if [ "${SKIP_DECODE:-}" != yes ]; then tests/bench-decode.sh; fi
if [ "${SKIP_COMPACT:-}" != yes ]; then tests/bench-compact.sh; fi
exec cargo bench --quiet --profile ci --locked -p hindsight-tests --bench peers -- --bench
