# Shared by the scripts beside it. Each member listens on 127.0.0.1: clients on 2379, 22379, 32379, peers
# one above, as etcd's own examples do.
set -euo pipefail

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
RUN=${MAINSTAY_RUN:-$ROOT/run}
TARGET=${CARGO_TARGET_DIR:-$HOME/.cache/mainstay/target}
BIN=$TARGET/release/kvstore
API_BIN=$TARGET/release/apiserver
API_PORT=6443
MEMBERS=(m1 m2 m3)
CLIENT_PORTS=(2379 22379 32379)
PEER_PORTS=(2380 22380 32380)

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
    tr '\0' ' ' <"/proc/$pid/cmdline" | grep -q -- "kvstore --name $1 \|$1 --etcd-servers="
}

port_busy() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }
