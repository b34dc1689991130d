#!/usr/bin/env bash
# From nothing to kernels that run: builds envspec, applies envs/quickstart.yaml,
# runs code in every kernel, prints the recipe. Besides Debian packages that are
# missing and the locks beside the specs (git ignores them), everything it makes
# is below target/.
#
# Where conda-forge can be reached, the packages come from there. Where it can't,
# a local channel is built from PyPI and Debian's packages (tests/world), once.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source tests/tools.sh

target=$(mkdir -p "${CARGO_TARGET_DIR:-target}" && cd "${CARGO_TARGET_DIR:-target}" && pwd)
export ENVSPEC_ROOT=${ENVSPEC_ROOT:-$target/quickstart}
export JUPYTER_DATA_DIR=${JUPYTER_DATA_DIR:-$target/quickstart/jupyter}
envspec=$target/release/envspec

need_cargo
say "Building envspec (several minutes the first time)"
cargo build --release --locked

if [[ -z ${ENVSPEC_CHANNEL_ALIAS:-} ]]; then
  say "Looking for conda-forge"
  # The lock needs the channel's index. 5 is envspec's exit code for the network,
  # 124 timeout's; anything else is worth seeing.
  code=0
  timeout 120 "$envspec" lock --quiet envs/quickstart.yaml 2>"$target/quickstart.err" || code=$?
  case $code in
  0) echo "conda-forge can be reached" >&2 ;;
  5 | 124)
    echo "conda-forge can't be reached; the local channel is used instead" >&2
    channels=$(tests/world/channel.sh)
    export ENVSPEC_CHANNEL_ALIAS=file://$channels/
    ;;
  *)
    cat "$target/quickstart.err" >&2
    exit "$code"
    ;;
  esac
fi

say "envspec apply envs/quickstart.yaml"
"$envspec" apply envs/quickstart.yaml >/dev/null
say "envspec kernels test quickstart"
"$envspec" kernels test quickstart >&2

if [[ -n ${channels:-} && -n $(compgen -G "$channels/conda-forge/noarch/julia-mini-kernel-*") ]]; then
  say "envspec apply tests/world/julia.yaml (the local channel has Julia)"
  "$envspec" apply tests/world/julia.yaml >/dev/null
  "$envspec" kernels test tests/world/julia.yaml >&2
fi

say "envspec recipe quickstart"
"$envspec" recipe quickstart
echo >&2
echo "To go on with this program, root and channel:" >&2
echo "  export ENVSPEC_ROOT=$ENVSPEC_ROOT" >&2
if [[ -n ${ENVSPEC_CHANNEL_ALIAS:-} ]]; then echo "  export ENVSPEC_CHANNEL_ALIAS=$ENVSPEC_CHANNEL_ALIAS" >&2; fi
echo "  $envspec --help" >&2
