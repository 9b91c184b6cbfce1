#!/usr/bin/env bash
# Checks licences, bans, sources and advisories of the dependencies with cargo-deny, offline.
#
# The advisory database is a folder beside the checkout (../shared/advisory-db) or ADVISORY_DB=.
# cargo-deny wants it as a git repository named after its source, so the cache holds such a copy.
set -euo pipefail
cd "$(dirname "$0")/.."
export HINDSIGHT_CACHE=${HINDSIGHT_CACHE:-$HOME/.cache/hindsight}
cache=$HINDSIGHT_CACHE
version=0.20.2
deny=$cache/tools/bin/cargo-deny

if ! [ -x "$deny" ] || [ "$("$deny" --version)" != "cargo-deny $version" ]; then
    echo "deny: building cargo-deny $version (about 8 min the first time) ..."
    env -u RUSTFLAGS -u CARGO_BUILD_TARGET cargo install --quiet --locked cargo-deny \
        --version "$version" --root "$cache/tools" --target-dir "$cache/tools/target"
    rm -rf "$cache/tools/target"
fi

checks="bans licenses sources"
source=${ADVISORY_DB:-../shared/advisory-db}
if [ -d "$source/crates" ]; then
    checks="advisories $checks"
    db=$cache/advisory-db
    sum=$(cd "$source" && find . -type f -print0 | sort -z | xargs -0 sha256sum | sha256sum | cut -c1-16)
    if [ "$(cat "$db/.sum" 2>/dev/null)" != "$sum" ]; then
        rm -rf "$db"
        # The name is cargo-deny's: the last part of the URL and a hash of all of it.
        copy=$db/advisory-db-3157b0e258782691
        mkdir -p "$copy"
        cp -R "$source/." "$copy/"
        git -C "$copy" init -q
        git -C "$copy" add -A
        git -C "$copy" -c user.name=hindsight -c user.email=hindsight@localhost commit -qm "Advisories"
        git -C "$copy" update-ref refs/remotes/origin/HEAD HEAD
        touch "$copy/.git/FETCH_HEAD"
        echo "$sum" >"$db/.sum"
    fi
else
    echo "deny: no advisory database at $source; set ADVISORY_DB to a checkout of RustSec's to check advisories"
    [ "${CI:-}" != true ] || exit 1
fi
# Every target's packages have to be here before the check goes offline.
env -u CARGO_BUILD_TARGET cargo fetch --quiet --locked
# shellcheck disable=SC2086 # a list of words
"$deny" --offline check --hide-inclusion-graph $checks
