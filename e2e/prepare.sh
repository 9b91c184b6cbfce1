#!/usr/bin/env bash
# Installs what the embedded cluster takes from the distribution, or says what is missing.
set -euo pipefail

# command -> Debian package
needs="containerd:containerd runc:runc etcd:etcd-server nft:nftables conntrack:conntrack
iptables:iptables ip:iproute2 busybox:busybox-static"
packages=
for need in $needs; do
    PATH=$PATH:/usr/sbin:/sbin command -v "${need%%:*}" >/dev/null || packages="$packages ${need#*:}"
done
[ -x /usr/lib/cni/bridge ] || packages="$packages containernetworking-plugins"
if [ -z "$packages" ]; then exit 0; fi
if [ "$(id -u)" != 0 ]; then
    echo "the embedded cluster needs root and these packages:$packages" >&2
    echo "run as root, or name another cluster: make demo CLUSTER=<kube context>" >&2
    exit 1
fi
if ! command -v apt-get >/dev/null; then
    echo "the embedded cluster needs these programs, by Debian's package names:$packages" >&2
    exit 1
fi
echo "installing$packages ..."
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
# containerd's own service is not wanted: the cluster starts its own, in its own folder.
apt-get install -y -qq --no-install-recommends $packages >/dev/null
