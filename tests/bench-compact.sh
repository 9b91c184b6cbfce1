#!/usr/bin/env bash
# Compacting adjacent blocks: Prometheus' levelled compactor and `hindsight compact`, in turn, on the
# same blocks; then what `hindsight compact` needs to downsample the result. CPU is user and system
# time of the whole process, memory its largest resident set, both by GNU time.
#
#   SIZE=S|M|L   share of the data set's series (default M)     COMPACT_PAIRS=3   alternating pairs
set -euo pipefail
cd "$(dirname "$0")/.."
size=${SIZE:-M} pairs=${COMPACT_PAIRS:-3}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

"$HINDSIGHT_GOPEER" blocks --out "$folder/blocks" --dataset dash --size "$size" \
    --thanos-labels cluster=eu >/dev/null

# measure <file> <command...>: user + system seconds and mebibytes.
measure() {
    local file=$1
    shift
    /usr/bin/time -o "$file" -f '%U %S %M' "$@" >"$folder/out" 2>"$folder/log" \
        || { cat "$folder/log" >&2; return 1; }
    awk '{ printf "%.2f %.0f\n", $1 + $2, $3 / 1024 }' "$file"
}
hindsight() {
    rm -rf "$folder/bucket" "$folder/data"
    cp -r "$folder/blocks" "$folder/bucket"
    measure "$folder/time" "$HINDSIGHT_BIN" compact --data-dir="$folder/data" \
        --objstore.config="{type: FILESYSTEM, config: {directory: $folder/bucket}}" \
        --consistency-delay=0s "$@"
}

cpu_ratios='' memory_ratios='' last=''
for _ in $(seq "$pairs"); do
    read -r our_cpu our_memory < <(hindsight --downsampling.disable --debug.max-compaction-level=2)
    # The same blocks for the other: those that the first new block was made of.
    sources=''
    for made in $(grep -l made-by-hindsight "$folder"/bucket/*/meta.json); do
        sources="$sources $(sed -n '/"parents"/,/]/p' "$made" | grep -oE '[0-9A-HJKMNP-TV-Z]{26}' |
            sed "s|^|$folder/blocks/|")@"
    done
    their_cpu=0 their_memory=0
    while read -r -d@ group; do
        # shellcheck disable=SC2086
        read -r cpu memory < <(measure "$folder/time" "$HINDSIGHT_GOPEER" compact --out "$folder/theirs" $group)
        their_cpu=$(awk -v a="$their_cpu" -v b="$cpu" 'BEGIN { print a + b }')
        their_memory=$(awk -v a="$their_memory" -v b="$memory" 'BEGIN { print (a > b) ? a : b }')
    done <<<"$(tr '\n' ' ' <<<"$sources")"
    rm -rf "$folder/theirs"
    cpu_ratios="$cpu_ratios $(awk -v a="$their_cpu" -v b="$our_cpu" 'BEGIN { printf "%.2f", a / b }')"
    memory_ratios="$memory_ratios $(awk -v a="$their_memory" -v b="$our_memory" 'BEGIN { printf "%.2f", a / b }')"
    last="Prometheus $their_cpu s and $their_memory MiB, ours $our_cpu s and $our_memory MiB"
done
median() { printf '%s\n' "$@" | sort -n | sed -n "$((($# + 1) / 2))p"; }
# shellcheck disable=SC2086
printf '\n### Compacting adjacent blocks, data set dash, size %s\n\nCPU %sx (pairs:%s), memory %sx (pairs:%s); the last: %s\n' \
    "$size" "$(median $cpu_ratios)" "$cpu_ratios" "$(median $memory_ratios)" "$memory_ratios" "$last"

samples=$(grep -h '"numSamples"' "$folder"/blocks/*/meta.json | tr -dc '0-9\n' | awk '{ n += $1 } END { print n }')
read -r cpu memory < <(hindsight --retention.resolution-raw=40h --compact.concurrency=1)
printf 'Compacting and downsampling everything to 5m and 1h: %s s CPU, %s MiB, %s raw samples\n' \
    "$cpu" "$memory" "$samples"
