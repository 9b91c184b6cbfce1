#!/usr/bin/env bash
# `make demo` and `make demo-down`: from nothing to one answer over live and stored data.
#
#   e2e/demo.sh up|down
#
#   CLUSTER=<kube context>   use that cluster instead of the embedded one; its images come through
#   IMAGE_REGISTRY=<prefix>  a registry to push to (needs docker), or a context named kind-... to load into
set -euo pipefail
cd "$(dirname "$0")/.."
export HINDSIGHT_CACHE=${HINDSIGHT_CACHE:-$HOME/.cache/hindsight}
profile=${PROFILE:-ci}
namespace=hindsight-demo
version=0.1.0
started=$SECONDS

say() { printf 'demo [%3ds]: %s\n' $((SECONDS - started)) "$*"; }
fail() { say "$*" >&2; exit 1; }

bin=${CARGO_TARGET_DIR:-target}/${CARGO_BUILD_TARGET:+$CARGO_BUILD_TARGET/}$profile
hindsight_cluster() { "$bin/hindsight-cluster" "$@"; }

# kubectl <args>: the embedded cluster's own, or the person's with the context they named.
kubectl() {
    if [ -n "${CLUSTER:-}" ]; then
        command kubectl --context "$CLUSTER" "$@"
    else
        "$HINDSIGHT_CACHE/demo/kubectl" --kubeconfig "$(hindsight_cluster kubeconfig)" "$@"
    fi
}

check_named_cluster() {
    command -v kubectl >/dev/null || fail "CLUSTER=$CLUSTER needs kubectl on the PATH"
    command kubectl --context "$CLUSTER" version >/dev/null 2>&1 ||
        fail "the context \"$CLUSTER\" does not answer; contexts: $(command kubectl config get-contexts -o name | tr '\n' ' ')"
    case $CLUSTER in
    kind-*) command -v kind >/dev/null || fail "CLUSTER=$CLUSTER needs the kind program to load images into it" ;;
    *) if [ -z "${IMAGE_REGISTRY:-}" ]; then
        fail "CLUSTER=$CLUSTER: say where its nodes pull images from with IMAGE_REGISTRY=<registry/prefix>"
    fi
        command -v docker >/dev/null || fail "pushing to IMAGE_REGISTRY=$IMAGE_REGISTRY needs docker" ;;
    esac
}

build() {
    command -v cargo >/dev/null || fail "cargo is missing: install Rust with rustup; rust-toolchain.toml names the version"
    say "building hindsight, its operator and the cluster's tools (the first time this compiles; half an hour was seen on two busy cores)"
    cargo build --quiet --profile "$profile" --locked -p cmd -p operator -p cluster
}

embedded_up() {
    command -v go >/dev/null || fail "go is missing: install Go 1.26 or later; Kubernetes and Prometheus are built from their modules"
    e2e/prepare.sh
    say "building Kubernetes, Prometheus and an S3 server (the first time this compiles; half an hour was seen on two busy cores)"
    kubernetes=$(e2e/modules/build.sh kubernetes)
    hindsight_cluster build >/dev/null
    mkdir -p "$HINDSIGHT_CACHE/demo"
    ln -sf "$kubernetes/kubernetes" "$HINDSIGHT_CACHE/demo/kubectl"
    say "starting Kubernetes"
    hindsight_cluster up >/dev/null
    say "packing and importing images"
    hindsight_cluster load-image --known prometheus
    hindsight_cluster load-image --known versitygw
    hindsight_cluster load-image --name "ghcr.io/hindsight-dev/hindsight:$version" \
        --uid 65534 --file "$bin/hindsight:/bin/hindsight"
    hindsight_cluster load-image --name "ghcr.io/hindsight-dev/hindsight-operator:$version" \
        --uid 65534 --file "$bin/hindsight-operator:/bin/hindsight-operator"
}

# The other cluster gets the two images of this checkout; Prometheus and versitygw it pulls itself.
push_images() {
    say "packing images for $CLUSTER"
    for name in hindsight hindsight-operator; do
        image=${IMAGE_REGISTRY:-ghcr.io/hindsight-dev}/$name:$version
        context=$(mktemp -d)
        cp "$bin/$name" "$context/"
        printf 'FROM scratch\nCOPY %s /bin/%s\nUSER 65534:65534\nENTRYPOINT ["/bin/%s"]\n' \
            "$name" "$name" "$name" >"$context/Dockerfile"
        docker build -q -t "$image" "$context" >/dev/null
        rm -rf "$context"
        case $CLUSTER in
        kind-*) kind load docker-image "$image" --name "${CLUSTER#kind-}" ;;
        *) docker push -q "$image" ;;
        esac
    done
}

established() {
    kubectl wait --for=condition=Established --timeout=5s crd/monitoringstacks.hindsight.dev >/dev/null 2>&1
}

apply() {
    say "installing the operator and applying config/samples/demo.yaml"
    kubectl kustomize config/crd | kubectl apply --server-side -f - >/dev/null
    # kubectl refuses to wait for a condition where there is none yet.
    until_true 60 "the cluster knows MonitoringStacks" established
    prefix=${IMAGE_REGISTRY:-ghcr.io/hindsight-dev}
    kubectl kustomize config/demo | sed "s#ghcr.io/hindsight-dev/#$prefix/#" |
        kubectl apply --server-side -f - >/dev/null
    if [ -n "${IMAGE_REGISTRY:-}" ]; then
        # The stack's own image is the operator's default, which an administrator may set.
        kubectl -n hindsight-system set env deploy/hindsight-operator \
            "HINDSIGHT_IMAGE=$prefix/hindsight:$version" >/dev/null
    fi
    kubectl -n hindsight-system rollout status deploy/hindsight-operator --timeout=180s >/dev/null ||
        fail "the operator does not run; look with kubectl -n hindsight-system describe pods"
    kubectl apply --server-side -f config/samples/demo.yaml >/dev/null
}

# ask <PromQL> [&parameter=value...]: the querier's answer, through the API server, so that no port
# has to be open.
ask() {
    query=$(printf %s "$1" | od -An -tx1 | tr -d ' \n' | sed 's/../%&/g')
    kubectl get --raw \
        "/api/v1/namespaces/$namespace/services/demo-query:http/proxy/api/v1/query?query=$query${2:-}" 2>/dev/null
}

# value <PromQL>: the first number of the answer, or nothing.
value() { ask "$1" | sed -n 's/.*"value":\[[^,]*,"\([^"]*\)"\].*/\1/p'; }

# until_true <seconds> <what> <command...>: waits for a condition and says how long it took.
until_true() {
    limit=$1 what=$2
    shift 2
    say "waiting: $what (at most $((limit / 60)) min)"
    deadline=$((SECONDS + limit))
    until "$@"; do
        if [ $SECONDS -ge $deadline ]; then
            kubectl -n "$namespace" get mstack,pods || true
            fail "not reached: $what; look with kubectl -n $namespace describe mstack demo"
        fi
        sleep 2
    done
}

both_replicas() {
    replicas=$(ask 'up{job="demo-thanos-query"}' '&dedup=false' | grep -o '"prometheus_replica":"[^"]*"' | sort -u)
    [ "$(wc -l <<<"$replicas")" = 2 ]
}
# Prometheus keeps eight minutes, in blocks of two: what is older comes from the bucket.
older='up{job="demo-thanos-query"} offset 14m'
whole='count_over_time(count(up{job="demo-thanos-query"})[15m:15s])'
from_bucket() { [ -n "$(value "$older")" ]; }

page() {
    if [ -n "${CLUSTER:-}" ]; then
        echo "kubectl --context $CLUSTER -n $namespace port-forward service/demo-query 10902, then http://127.0.0.1:10902/"
    else
        echo "http://$(kubectl -n "$namespace" get service demo-query -o 'jsonpath={.spec.clusterIP}'):10902/"
    fi
}

up() {
    if [ -n "${CLUSTER:-}" ]; then check_named_cluster; fi
    build
    if [ -n "${CLUSTER:-}" ]; then push_images; else embedded_up; fi
    apply
    say "waiting: the stack is ready (at most 5 min)"
    kubectl -n "$namespace" wait --for=condition=Ready --timeout=300s mstack/demo >/dev/null ||
        fail "not ready; look with kubectl -n $namespace describe mstack demo"
    until_true 180 "both Prometheus replicas answer through the querier" both_replicas
    say "the page shows a first graph: $(page)"
    until_true 1500 "data that Prometheus has dropped comes from the bucket (Ctrl-C leaves it running)" from_bucket
    printf '\nOne deduplicated answer over live data of two replicas and data from the bucket:\n'
    printf '  %s = %s\n' "$older" "$(value "$older")" "$whole" "$(value "$whole")"
    echo
    kubectl -n "$namespace" get mstack
    printf '\nThe page: %s\n\nTry next:\n' "$(page)"
    if [ -z "${CLUSTER:-}" ]; then
        printf '  export KUBECONFIG=%s\n' "$(hindsight_cluster kubeconfig)"
        printf '  alias kubectl=%s\n' "$HINDSIGHT_CACHE/demo/kubectl"
    fi
    cat <<T
  kubectl -n $namespace describe mstack demo
  kubectl explain monitoringstack.spec.prometheus
  kubectl -n $namespace delete pod demo-prometheus-0      # no graph gets a gap
  make demo-down                                          # removes all of it
T
}

down() {
    if [ -n "${CLUSTER:-}" ]; then
        # Only what carries this demo's label or is the operator's.
        kubectl delete namespace -l app.kubernetes.io/part-of=hindsight-demo --ignore-not-found
        kubectl kustomize config/default | kubectl delete --ignore-not-found -f -
        return
    fi
    if [ -x "$bin/hindsight-cluster" ]; then hindsight_cluster down; fi
    rm -rf "$HINDSIGHT_CACHE/demo"
    say "removed"
}

case ${1:-} in
up) up ;;
down) down ;;
*) fail "usage: e2e/demo.sh up|down" ;;
esac
