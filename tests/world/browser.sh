#!/usr/bin/env bash
# The browser of the tests: a headless Chromium and a program that sits before it as a person would.
#
#   browser.sh            makes what is missing and prints the program; nothing to do takes an instant
#   browser.sh packages   installs the Debian packages that it needs
#   browser.sh --refresh  resolves its Python packages anew and writes their pins
#
# Everything but the Debian packages is below target/world/browser, readable for every user. What the program
# reads and says is in browser/README.md. Exit code 78 where Debian packages are missing.
set -euo pipefail
shopt -s nullglob

tests=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
here=$tests/world/browser
# shellcheck source=tests/tools.sh
source "$tests/tools.sh"
target=${CARGO_TARGET_DIR:-$tests/../target}
mkdir -p "$target/world/browser"
world=$(cd "$target/world/browser" && pwd)

packages=(
  chromium="the browser" fonts-dejavu-core="letters on its screenshots"
  python3="drives it" python3-venv="the driver's own packages" util-linux="flock: one at a time"
)

missing_programs() {
  local program
  for program in /usr/bin/chromium /usr/bin/python3 flock; do
    command -v "$program" >/dev/null || printf '%s ' "$program"
  done
  [[ ! -x /usr/bin/python3 ]] || /usr/bin/python3 -c 'import ensurepip' 2>/dev/null || printf 'python3-venv '
}

# usage: key FILE…
key() { cat "$@" | sha256sum | cut -c1-16; }

# The venv is named after its pins, the driver after its source. The driver is copied because the hosts
# of the tests see nothing of a repository but its target folder.
make() {
  local venv driver
  umask 022
  venv=$world/venv-$(key "$here/requirements.txt" <(/usr/bin/python3 --version))
  if [[ ! -e $venv/complete ]]; then
    say "Installing what drives the browser"
    rm -rf "$venv"
    /usr/bin/python3 -m venv "$venv"
    "$venv/bin/pip" install --quiet --require-hashes --only-binary :all: -r "$here/requirements.txt" >&2
    chmod -R a+rX "$venv"
    touch "$venv/complete"
  fi
  driver=$world/driver-$(key "$here"/*.py "${BASH_SOURCE[0]}" <(echo "$venv"))
  if [[ ! -x $driver/browser ]]; then
    rm -rf "$driver"
    mkdir "$driver"
    install -m 644 "$here"/*.py "$driver"
    printf '#!/bin/sh\nexec "%s/bin/python" -IB "%s" "$@"\n' "$venv" "$driver" >"$driver/new"
    chmod 755 "$driver/new"
    mv "$driver/new" "$driver/browser"
  fi
  echo "$driver/browser"
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
    echo '# Written by `browser.sh --refresh` from requirements.in; do not edit.'
    env ${index:+UV_DEFAULT_INDEX="$index"} "$tools/bin/uv" pip compile --quiet --upgrade --universal \
      --generate-hashes --python-version 3.11 --only-binary :all: --no-header --no-annotate \
      "$here/requirements.in"
  } >"$tools/requirements.txt"
  cp "$tools/requirements.txt" "$here/requirements.txt"
}

case ${1:-} in
  packages) need "${packages[@]}" ;;
  --refresh) refresh ;;
  "")
    absent=$(missing_programs)
    if [[ $absent ]]; then
      echo "not installed: $absent; run tests/world/browser.sh packages" >&2
      exit 78
    fi
    # Settings of pip that would send its downloads elsewhere.
    unset PIP_TARGET PIP_PREFIX PIP_USER PIP_REQUIRE_VIRTUALENV PYTHONHOME PYTHONPATH
    exec 9>"$world/.lock"
    flock 9
    make
    ;;
  *)
    sed -n '2,/^set/s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" | sed '/^set/d' >&2
    exit 2
    ;;
esac
