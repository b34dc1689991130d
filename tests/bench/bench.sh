#!/usr/bin/env bash
# Measures envspec beside py-rattler, conda-pack and the floor `cp -al`, and prints its tables.
#
#   bench.sh                      all of it, five rounds: some minutes, some GB
#   bench.sh --rounds 9           more rounds
#   bench.sh --only warm,cold     some of it: nothing, check, rollback, warm, cold, solve, change,
#                                 growth, bytecode, start, kernels, verify, gc
#   bench.sh --markdown FILE      the table also as Markdown, for the README
#
# Builds the channel (tests/world/channel.sh) and the release binary where they are missing.
# ENVSPEC_BENCH_BINARY and ENVSPEC_BENCH_CHANNELS name others. Everything stays below target/.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
repository=$(cd "$here/../.." && pwd)
target=${CARGO_TARGET_DIR:-$repository/target}

case ${1:-} in
  -h | --help) sed -n '2,/^set/s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" | sed '/^set/d'; exit 0 ;;
esac

channels=${ENVSPEC_BENCH_CHANNELS:-}
[[ -n $channels ]] || channels=$("$repository/tests/world/channel.sh")
binary=${ENVSPEC_BENCH_BINARY:-}
if [[ -z $binary ]]; then
  (cd "$repository" && cargo build --release --quiet)
  binary=$target/release/envspec
fi

# conda-pack in a venv of its own; without a network the rest is measured all the same.
peers=$target/bench/peers
key=$( { cat "$here/peers.txt"; /usr/bin/python3 --version; } | sha256sum | cut -c1-16)
if [[ ! -f $peers/.$key ]]; then
  rm -rf "$peers"
  if /usr/bin/python3 -m venv "$peers" && "$peers/bin/pip" install --quiet --require-hashes -r "$here/peers.txt" >&2; then
    touch "$peers/.$key"
  fi
fi
[[ ! -f $peers/.$key ]] || set -- --conda-pack "$peers/bin/conda-pack" "$@"

# The builder of the channel pins py-rattler by hash; its venv stands beside the channels.
python=$(dirname "$channels")/venv/bin/python
PYTHONPATH=$here PYTHONDONTWRITEBYTECODE=1 exec "$python" -m measure \
  --binary "$binary" --channels "$channels" --work "$target/bench" "$@"
