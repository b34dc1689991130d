#!/usr/bin/env bash
# The programs of other people that read what `envspec export` writes: conda-lock, uv, hadolint, parsers of
# Dockerfiles and of Singularity's recipes.
#
#   readers.sh            makes what is missing and prints the folder of the programs
#   readers.sh --refresh  resolves the packages anew and writes their pins
#
# Everything is below target/world/readers, in a venv that is named after its pins.
set -euo pipefail

tests=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
here=$tests/interchange/readers
# shellcheck source=tests/tools.sh
source "$tests/tools.sh"
target=${CARGO_TARGET_DIR:-$tests/../target}
mkdir -p "$target/world/readers"
world=$(cd "$target/world/readers" && pwd)

# Settings of pip that would send its downloads elsewhere.
unset PIP_TARGET PIP_PREFIX PIP_USER PIP_REQUIRE_VIRTUALENV PYTHONHOME PYTHONPATH

make() {
  local venv
  venv=$world/venv-$(cat "$here/requirements.txt" <(/usr/bin/python3 --version) | sha256sum | cut -c1-16)
  if [[ ! -e $venv/complete ]]; then
    say "Installing the readers of other tools' files"
    rm -rf "$venv"
    /usr/bin/python3 -m venv "$venv"
    "$venv/bin/pip" install --quiet --require-hashes --only-binary :all: -r "$here/requirements.txt" >&2
    touch "$venv/complete"
  fi
  echo "$venv/bin"
}

# The pins keep the hashes of all wheels: any Python of the machine may run them.
refresh() {
  local tools index
  tools=$(mktemp -d)
  # shellcheck disable=SC2064 # expands now
  trap "rm -rf '$tools'" EXIT
  /usr/bin/python3 -m venv "$tools"
  "$tools/bin/pip" install --quiet uv >&2
  # uv does not read pip's configuration.
  index=${PIP_INDEX_URL:-$("$tools/bin/pip" config get global.index-url 2>/dev/null || true)}
  {
    # shellcheck disable=SC2016 # a name
    echo '# Written by `readers.sh --refresh` from requirements.in; do not edit.'
    env ${index:+UV_DEFAULT_INDEX="$index"} "$tools/bin/uv" pip compile --quiet --upgrade --universal \
      --generate-hashes --python-version 3.11 --only-binary :all: --no-header --no-annotate \
      --no-emit-index-url "$here/requirements.in"
  } >"$tools/requirements.txt"
  cp "$tools/requirements.txt" "$here/requirements.txt"
}

case ${1:-} in
  --refresh) refresh ;;
  "")
    exec 9>"$world/.lock"
    flock 9
    make
    ;;
  *)
    sed -n '2,/^set/s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" | sed '/^set/d' >&2
    exit 2
    ;;
esac
