#!/bin/sh
# Builds the foreign parts of the embedded cluster and of the tests, each from its pinned module, into the
# cache folder, once. Prints one folder per part on stdout, in the order asked; progress goes to stderr.
#
#   e2e/modules/build.sh prometheus kubernetes ...
#
# Cache: ${HINDSIGHT_CACHE:-~/.cache/hindsight}/bin/<part>-<hash>/, where the hash covers the pins
# (go.mod and go.sum, or package.json and package-lock.json), the part's own sources and its recipe below, so that another pin is another folder.
set -eu

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
root=$(CDPATH='' cd -- "$here/../.." && pwd)
cache=${HINDSIGHT_CACHE:-${HOME:?set HINDSIGHT_CACHE or HOME}/.cache/hindsight}/bin

mkdir -p "$cache"
cache=$(CDPATH='' cd -- "$cache" && pwd)

say() { echo "build: $*" >&2; }
fail() { say "$*"; exit 1; }

# recipe <part>: sets dir (module), sources (hashed beside go.mod and go.sum), version, minutes (cold,
# on two cores), ldflags, tags and commands ("name=package ..."). A part of npm has npm=1 and neither of the last three.
recipe() {
    dir=$here/$1 sources='' ldflags='-s -w' tags='' minutes=1 npm=
    case $1 in
    prometheus)
        # One module serves as the tests' opponent and as the cluster's server, so that both are the
        # same Prometheus. Its own Go sources are not part of these two binaries.
        dir=$root/tests/gopeer version=3.15.0 minutes=5
        ldflags="$ldflags -X github.com/prometheus/common/version.Version=3.15.0"
        commands='prometheus=github.com/prometheus/prometheus/cmd/prometheus promtool=github.com/prometheus/prometheus/cmd/promtool' ;;
    gopeer)
        dir=$root/tests/gopeer version=3.15.0 minutes=2
        sources='peer/main.go peer/blocks.go peer/compact.go peer/datasets.go peer/diff.go peer/dump.go peer/vectors.go'
        commands='gopeer=./peer' ;;
    kubernetes)
        version=1.34.4 minutes=6 sources=main.go
        # Without these kubectl cannot read the server's version.
        v=k8s.io/component-base/version
        ldflags="$ldflags -X $v.gitVersion=v1.34.4 -X $v.gitMajor=1 -X $v.gitMinor=34 -X $v.gitTreeState=clean"
        commands='kubernetes=.' ;;
    versitygw)
        version=1.8.0 minutes=2
        ldflags="$ldflags -X main.Version=v1.8.0"
        commands='versitygw=github.com/versity/versitygw/cmd/versitygw' ;;
    coredns)
        version=1.15.0 minutes=3
        commands='coredns=github.com/coredns/coredns' ;;
    local-path-provisioner)
        version=0.0.30 minutes=2
        commands='local-path-provisioner=github.com/rancher/local-path-provisioner' ;;
    fake-gcs-server)
        version=1.56.1 minutes=2
        commands='fake-gcs-server=github.com/fsouza/fake-gcs-server' ;;
    azurite)
        # The last version that runs on Node.js 20.
        version=3.35.0 npm=1 ldflags='' commands='' ;;
    pause)
        version=1 sources=main.go
        commands='pause=.' ;;
    *) fail "unknown part \"$1\"; known: prometheus gopeer kubernetes versitygw fake-gcs-server azurite coredns local-path-provisioner pause" ;;
    esac
}

hash_of() {
    {
        for s in go.mod go.sum package.json package-lock.json; do
            if [ -f "$dir/$s" ]; then cat "$dir/$s"; fi
        done
        for s in $sources; do cat "$dir/$s"; done
        printf '%s\n' "$ldflags" "$tags" "$commands"
    } | sha256sum | cut -c1-16
}

build() {
    part=$1
    recipe "$part"
    out=$cache/$part-$(hash_of)
    if [ ! -d "$out" ]; then
        if [ -n "$npm" ]; then
            command -v npm >/dev/null 2>&1 ||
                fail "npm is not installed: $part $version is installed by it; install Node.js 20 or later"
        else
            command -v go >/dev/null 2>&1 ||
                fail "go is not installed: $part $version is built from its Go module; install Go 1.26 or later (https://go.dev/dl)"
        fi
        # Two builds of one part at the same time would only slow each other down; the second waits
        # here and then finds the result.
        exec 9>"$cache/.lock-$part"
        flock 9
    fi
    if [ ! -d "$out" ]; then
        say "building $part $version (about $minutes min the first time) ..."
        started=$(date +%s)
        # What a build that was killed has left; nobody else builds this part now.
        rm -rf "$cache"/.tmp-"$part".*
        tmp=$(mktemp -d "$cache/.tmp-$part.XXXXXX")
        trap 'rm -rf "$tmp"' EXIT INT TERM
        if [ -n "$npm" ]; then
            cp "$dir/package.json" "$dir/package-lock.json" "$tmp/"
            (cd "$tmp" && nice -n 5 npm ci --ignore-scripts --no-audit --no-fund >&2) ||
                fail "$part $version did not install; see npm's message above"
        fi
        for c in $commands; do
            (cd "$dir" && CGO_ENABLED=0 GOWORK=off nice -n 5 go build -trimpath -buildvcs=false \
                ${tags:+-tags "$tags"} -ldflags "$ldflags" -o "$tmp/${c%%=*}" "${c#*=}" >&2) ||
                fail "$part $version did not build; see go's message above (a cold module cache needs the Go module proxy, GOPROXY)"
        done
        chmod 755 "$tmp"
        mv -T "$tmp" "$out"
        trap - EXIT INT TERM
        say "built $part $version in $(($(date +%s) - started)) s"
    fi
    echo "$out"
}

[ $# -gt 0 ] || fail "usage: build.sh part...; parts: prometheus gopeer kubernetes versitygw fake-gcs-server azurite coredns local-path-provisioner pause"
for p in "$@"; do (build "$p"); done
