# shellcheck shell=bash disable=SC2154 # its variables are those of who sources it
# Sourced: the control groups in which Slurm keeps a job's processes together, each node its own.
#
# The freezer of cgroup v1 is taken where the kernel has it: it can be mounted even where systemd uses
# v2. It is the one thing of an instance that has a name on the machine, `envspec-test-…`.

# usage: make_cgroup DIR, inside the world
make_cgroup() {
  local name
  name=envspec-test-$(<"$1/id")
  mkdir -p "$1/cgroup"
  mount -t cgroup -o freezer cgroup "$1/cgroup" 2>/dev/null || return 1
  mkdir "$1/cgroup/$name" "$1/cgroup/$name"/{med0101,med0102} || return 1
  # From here on, the world sees no other group than its own.
  mount --bind "$1/cgroup/$name" "$1/cgroup"
}

# When all processes of the instance are gone. usage: remove_cgroup DIR
remove_cgroup() {
  local name
  name=envspec-test-$(<"$1/id")
  [[ -e $1/cgroup ]] || return 0
  # shellcheck disable=SC2016 # expands in the inner shell
  unshare --mount bash -c '
    mount -t cgroup -o freezer cgroup "$1" 2>/dev/null || exit 0
    for ((tenths = 0; tenths < 50; tenths++)); do
      [[ ! -d $1/$2 ]] || find "$1/$2" -depth -type d -exec rmdir {} + 2>/dev/null
      [[ -d $1/$2 ]] || exit 0
      sleep 0.1
    done
    echo "control groups are left: $2" >&2
    exit 1
  ' bash "$1/cgroup" "$name"
}
