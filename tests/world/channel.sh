#!/usr/bin/env bash
# Builds the conda channels that the tests install from, and prints the folder that holds them.
#
#   channel.sh            build what is missing; nothing to do takes a few hundredths of a second
#   channel.sh --check    build, install an environment from the channel and run its kernels
#   channel.sh --refresh  resolve the inputs anew and write their pins (network, a few minutes)
#
# Root is needed only where Debian packages are missing. Everything else stays below target/world.
set -euo pipefail
shopt -s nullglob

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
target=${CARGO_TARGET_DIR:-$here/../../target}
mkdir -p "$target/world"
world=$(cd "$target/world" && pwd)

# What builder and CPython's compilation need of the machine, and why.
declare -A packages=(
  [python3]="runs the builder" [python3-venv]="the builder's own packages" [python3-pip]="downloads wheels"
  [ca-certificates]="downloads wheels" [dpkg-dev]="finds CPython's source" [gcc]="compiles CPython"
  [libc6-dev]="compiles CPython" [make]="compiles CPython" [binutils]="strips libraries" [pkg-config]="compiles CPython"
  [xz-utils]="unpacks sources" [bzip2]="unpacks sources" [util-linux]="flock: one build at a time"
  [libssl-dev]="CPython's ssl" [libffi-dev]="CPython's ctypes" [libsqlite3-dev]="CPython's sqlite3"
  [zlib1g-dev]="CPython's zlib" [libbz2-dev]="CPython's bz2" [liblzma-dev]="CPython's lzma"
  [libreadline-dev]="CPython's readline" [libncurses-dev]="CPython's curses" [uuid-dev]="CPython's uuid"
  [libexpat1-dev]="CPython's pyexpat"
)

say() { printf '%s\n' "$*" >&2; }

# One key for all that decides the channels' bytes.
stamp() {
  { cat /etc/os-release; cd "$here"; sha256sum channel/*.py inputs/* recipes/*; } | sha256sum | cut -d' ' -f1
}

install_missing() {
  local missing=() name installed
  # dpkg-query fails if it does not know one of the names; the others it shows all the same.
  installed=$(dpkg-query --show --showformat='${db:Status-Status} ${Package}\n' "${!packages[@]}" 2>/dev/null || true)
  installed=" $(sed -n 's/^installed //p' <<<"$installed" | tr '\n' ' ') "
  for name in "${!packages[@]}"; do
    [[ $installed == *" $name "* ]] || missing+=("$name")
  done
  ((${#missing[@]})) || return 0
  say "Debian packages are missing:"
  for name in "${missing[@]}"; do say "  $name (${packages[$name]})"; done
  local as_root=()
  if ((EUID != 0)); then
    if ! command -v sudo >/dev/null; then
      say "Neither root nor sudo: ask for them to be installed, or run as root:"
      say "  apt-get install ${missing[*]}"
      exit 1
    fi
    as_root=(sudo)
  fi
  "${as_root[@]}" apt-get update -q >&2
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "${missing[@]}" >&2
}

# The builder's packages, in a venv of the system's Python named after their pins.
tools() {
  local key
  key=$( { cat "$here/inputs/tools.txt"; /usr/bin/python3 --version; } | sha256sum | cut -c1-16)
  venv=$world/venv
  [[ -f $venv/.$key ]] && return 0
  say "making the builder's venv"
  rm -rf "$venv"
  /usr/bin/python3 -m venv "$venv"
  "$venv/bin/pip" install --quiet --require-hashes -r "$here/inputs/tools.txt" >&2
  touch "$venv/.$key"
}

run() { PATH="$venv/bin:$PATH" PYTHONPATH=$here PYTHONDONTWRITEBYTECODE=1 "$venv/bin/python" "$@"; }

main() {
  local mode=${1:-} wanted
  case $mode in
    "" | --check | --refresh) ;;
    *) sed -n '2,/^set/s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" | sed '/^set/d' >&2; exit 2 ;;
  esac
  # Settings of pip that would send its downloads elsewhere.
  unset PIP_TARGET PIP_PREFIX PIP_USER PIP_REQUIRE_VIRTUALENV PYTHONHOME PYTHONPATH
  exec 9>"$world/.channel.lock"
  flock 9
  if [[ $mode == --refresh ]]; then
    install_missing
    tools
    run -m channel refresh --world "$world" >&2
    return
  fi
  wanted=$(stamp)
  if [[ ! -f $world/channels/.stamp || $(<"$world/channels/.stamp") != "$wanted" ]]; then
    install_missing
    tools
    run -m channel build --world "$world" --stamp "$wanted" >&2
  fi
  if [[ $mode == --check ]]; then
    install_missing
    tools
    flock --shared 9
    run "$here/check_channel.py" "$world" >&2
  fi
  printf '%s\n' "$world/channels"
}

main "$@"
