#!/usr/bin/env bash
# All tests, with all that they need: Debian packages, the channel of the test
# world. Arguments go to `cargo test`: tests/run.sh --test it apply
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source tests/tools.sh

need_cargo
need shellcheck="reads the scripts of recipes" openssh-client="reads the ssh configs of recipes"
say "Building the channel of the test world (some minutes the first time)"
ENVSPEC_TEST_CHANNELS=$(tests/world/channel.sh)
export ENVSPEC_TEST_CHANNELS
# With this a missing tool is a failure, not a skipped test.
export ENVSPEC_TEST_TOOLS=require

say "Testing"
cargo test --locked "$@"
