# Sourced by the scripts of this folder: what they say, and what they install.

say() { printf '\n== %s\n' "$*" >&2; }

# Debian packages that are missing are installed, by root or through sudo.
# usage: need PACKAGE=WHY…
need() {
  local missing=() pair
  for pair in "$@"; do
    dpkg-query --show --showformat='${db:Status-Status}' "${pair%%=*}" 2>/dev/null |
      grep -qx installed || missing+=("$pair")
  done
  ((${#missing[@]})) || return 0
  say "Debian packages are missing:"
  printf '  %s (%s)\n' "${missing[@]/=/ }" >&2
  local as_root=()
  if ((EUID != 0)); then
    command -v sudo >/dev/null || {
      echo "Neither root nor sudo; run as root: apt-get install ${missing[*]%%=*}" >&2
      return 1
    }
    as_root=(sudo)
  fi
  "${as_root[@]}" apt-get update -q >&2
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
    apt-get install -y -q --no-install-recommends "${missing[@]%%=*}" >&2
}

# rustup's cargo is often not on the PATH of a script.
need_cargo() {
  command -v cargo >/dev/null || PATH=$PATH:${CARGO_HOME:-$HOME/.cargo}/bin
  command -v cargo >/dev/null || {
    echo "cargo is missing: install a Rust toolchain first (rustup)" >&2
    return 1
  }
  need gcc="links Rust programs, compiles their C parts" libc6-dev="the same" git="the commit of a spec"
}
