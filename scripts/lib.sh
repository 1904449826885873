# Shared by the scripts beside it.
set -euo pipefail

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
RUN=${MAINSTAY_RUN:-$ROOT/run}
TARGET=${CARGO_TARGET_DIR:-$HOME/.cache/mainstay/target}

# One choice of packages for builds and tests: with another one cargo unites other features and compiles half of it
# again. The simulation is apart: it replaces functions of the C library and has bugs planted.
ALL=(--release --workspace --exclude mainstay-sim)
# The programs for users.
SERVERS=(kvstore apiserver controllers scheduler dns fake-nodes kubelet mainstay proxy)

say() { printf '%s\n' "$*"; }
die() { printf 'error: %s\n' "$*" >&2; exit 1; }
