#!/usr/bin/env bash
# Decoding a chunk's samples: Prometheus' iterator and ours, in turn, on the same chunks.
set -euo pipefail
cd "$(dirname "$0")/.."
size=${SIZE:-M} pairs=${DECODE_PAIRS:-5}
HINDSIGHT_GOPEER=${HINDSIGHT_GOPEER:-$(e2e/modules/build.sh gopeer)/gopeer}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

"$HINDSIGHT_GOPEER" blocks --out "$folder/blocks" --dataset dash --size "$size" >/dev/null
"$HINDSIGHT_GOPEER" decode-bench "$folder/blocks" --export "$folder/chunks" --rounds 1 >/dev/null
cargo bench --quiet --locked -p chunk --bench decode --no-run
number() { grep -oE '[0-9]+\.[0-9]+ ns' | head -1 | cut -d' ' -f1; }
ratios=
for _ in $(seq "$pairs"); do
    go=$("$HINDSIGHT_GOPEER" decode-bench "$folder/blocks" --rounds 15 | number)
    ours=$(cargo bench --quiet --locked -p chunk --bench decode -- "$folder/chunks" 2>/dev/null | number)
    ratios="$ratios $(awk -v a="$go" -v b="$ours" 'BEGIN { printf "%.2f", a / b }')"
    last="Prometheus $go ns, ours $ours ns a sample"
done
median=$(printf '%s\n' $ratios | sort -n | sed -n "$(((pairs + 1) / 2))p")
printf '\n### Decoding XOR chunks, data set dash\n\n%sx (pairs:%s; the last: %s)\n' "$median" "$ratios" "$last"
