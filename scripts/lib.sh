# Shared by the scripts beside it. Each member listens on 127.0.0.1: clients on 2379, 22379, 32379, peers
# one above, as etcd's own examples do.
set -euo pipefail

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
RUN=${MAINSTAY_RUN:-$ROOT/run}
TARGET=${CARGO_TARGET_DIR:-$HOME/.cache/mainstay/target}
BIN=$TARGET/release/kvstore
API_BIN=$TARGET/release/apiserver
API_PORT=6443
# What runs beside the apiserver, and the ports of its pages for health and metrics.
COMPONENTS=(controllers scheduler fake-nodes)
COMPONENT_PORTS=(10257 10259 10270)
MEMBERS=(m1 m2 m3)
CLIENT_PORTS=(2379 22379 32379)
PEER_PORTS=(2380 22380 32380)

# One choice of packages for builds and tests: with another one cargo unites other features and compiles half of it
# again. The simulation is apart: it replaces functions of the C library and has bugs planted.
ALL=(--release --workspace --exclude mainstay-sim)
# The programs for users.
SERVERS=(kvstore apiserver controllers scheduler dns fake-nodes kubelet mainstay proxy)

say() { printf '%s\n' "$*"; }
die() { printf 'error: %s\n' "$*" >&2; exit 1; }

endpoints() {
  local list=() port
  for port in "${CLIENT_PORTS[@]}"; do list+=("127.0.0.1:$port"); done
  (IFS=,; printf '%s' "${list[*]}")
}

# running NAME: whether the process we started under this name is alive and still ours.
running() {
  local pid
  pid=$(cat "$RUN/$1.pid" 2>/dev/null) || return 1
  [ -n "$pid" ] && [ -r "/proc/$pid/cmdline" ] &&
    tr '\0' ' ' <"/proc/$pid/cmdline" | grep -q -- "kvstore --name $1 \|$1 --etcd-servers=\|$1 --kubeconfig="
}

# is_ok URL FLAG...: whether a page for health says so. curl is asked with these flags.
is_ok() { [ "$(curl --silent --max-time 5 "${@:2}" "$1")" = ok ]; }

# api_create PATH OBJECT: creates it as the administrator, whose key is inside the kubeconfig; nothing if it is there.
api_create() {
  local config=$RUN/pki/admin.kubeconfig said
  inside() { sed -n "s/^ *$1: //p" "$config" | base64 --decode; }
  said=$(curl --silent --max-time 10 --cacert "$RUN/pki/ca.crt" \
    --cert <(inside client-certificate-data) --key <(inside client-key-data) \
    --header 'Content-Type: application/json' --data "$2" --write-out '%{http_code}' --output /dev/null \
    "https://127.0.0.1:$API_PORT$1")
  [ "$said" = 201 ] || [ "$said" = 409 ] || die "the apiserver answered $said to a create at $1"
}

port_busy() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }
