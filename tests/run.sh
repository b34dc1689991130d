#!/usr/bin/env bash
# All tests, with all that they need: Debian packages, the channel of the test
# world. Arguments go to `cargo test`: tests/run.sh --test it apply
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source tests/tools.sh

need_cargo
need shellcheck="reads the scripts of recipes" openssh-client="reads the ssh configs of recipes" \
  openssh-server="a tunnel through a real sshd" \
  zsh="a login shell" tcsh="another, which is no sh" fish="and a third" \
  curl="asks servers through tunnels" strace="kills at a given system call" \
  fuse3="mounts a file system without hard links and locks" libfuse3-dev="which is compiled" \
  pkg-config="with its headers" \
  faketime="a clock that is set back" nix-bin="builds kernels" \
  openssl="makes certificates" python3="a server behind TLS" tinyproxy-bin="a proxy with a password" \
  buildah="builds the images that are exported" \
  gnome-keyring="a keyring" libsecret-tools="writes into it" dbus-daemon="its bus"
tests/world/cluster.sh packages
tests/world/browser.sh packages
# Tests that this machine makes impossible (no root, no namespaces) say so here.
ENVSPEC_TEST_SKIPPED=$(mktemp)
export ENVSPEC_TEST_SKIPPED
say "Building the channel of the test world (some minutes the first time)"
ENVSPEC_TEST_CHANNELS=$(tests/world/channel.sh)
export ENVSPEC_TEST_CHANNELS
# With this a missing tool is a failure, not a skipped test.
export ENVSPEC_TEST_TOOLS=require

say "Building envspec and applying an environment for the tests"
cargo build --locked
target=$(cd "${CARGO_TARGET_DIR:-target}" && pwd)
JUPYTER_DATA_DIR=$target/world/root/jupyter ENVSPEC_ROOT=$target/world/root \
  ENVSPEC_CHANNEL_ALIAS=file://$ENVSPEC_TEST_CHANNELS/ \
  "$target/debug/envspec" apply tests/world/jupyter.yaml >/dev/null
ENVSPEC_TEST_PREFIX=$(readlink -f "$target/world/root/envs/jupyter")
export ENVSPEC_TEST_PREFIX

say "Testing"
# One run tells all that fails.
cargo test --locked --no-fail-fast "$@"
if [[ -s $ENVSPEC_TEST_SKIPPED ]]; then
  say "$(wc -l <"$ENVSPEC_TEST_SKIPPED") tests were skipped:"
  cat "$ENVSPEC_TEST_SKIPPED" >&2
fi
rm -f -- "$ENVSPEC_TEST_SKIPPED"
