#!/usr/bin/env bash
# The first process of a host: mounts what is its own, starts its daemons, then reaps. It has network,
# host name, processes, mounts and IPC to itself; when it dies, the kernel ends all that the host was.
#   host.sh DIR HOST TARGET
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=tests/world/cluster/names.sh
source "$here/names.sh"
# shellcheck source=tests/world/cluster/users.sh
source "$here/users.sh"
dir=$1 host=$2 target=$3
hostname "$host"

# Held open: the mounts below may hide the way to them.
exec 8<"$dir" 9<"$target"

for file in passwd group shadow hosts hostname; do
  mount --bind "$dir/$host/etc/$file" "/etc/$file"
done
mount --bind "$dir/$host/ssh" /etc/ssh
if in_cluster "$host"; then
  mount --bind "$dir/cluster/slurm" /etc/slurm
fi
home=$(home_of "$dir" "$host")
tmp=$dir/$host/tmp
# With the small disks that are there already.
mount --rbind "$home" /home
mount -t tmpfs -o mode=1777 shm /dev/shm
mount -t tmpfs -o mode=755 run /run
mkdir -p /run/sshd
if [[ -d $dir/cgroup/$host ]]; then
  mkdir -p /run/cgroup/freezer
  mount --bind "$dir/cgroup/$host" /run/cgroup/freezer
fi
mount --bind "$tmp" /tmp

# Makes a folder visible to every user at its own path, whatever lies over that or is closed to them.
# usage: expose PATH FD
expose() {
  local ancestor="" name names
  IFS=/ read -ra names <<<"${1#/}"
  for name in "${names[@]}"; do
    ancestor+=/$name
    [[ -d $ancestor && $ancestor != "$1" ]] || break
    (($(stat -c '0%a' "$ancestor") & 1)) && continue
    mount -t tmpfs -o mode=755 closed "$ancestor"
  done
  mkdir -p "$1"
  [[ $1 -ef /proc/self/fd/$2 ]] || mount --no-canonicalize --bind "/proc/self/fd/$2" "$1"
}
expose "$target" 9
expose "$dir" 8
exec 8<&- 9<&-

# Until the world has plugged its interfaces in.
read -r <"$dir/$host/plugged"
echo 0 >/proc/sys/net/ipv4/ip_forward

"$here/daemons.sh" "$dir" sshd
if in_cluster "$host"; then
  "$here/daemons.sh" "$dir" munged
  if is_node "$host"; then
    "$here/daemons.sh" "$dir" slurmd
  else
    "$here/daemons.sh" "$dir" slurmctld
  fi
fi
echo up >"$dir/$host/state"

# While bash waits it reaps whatever became its child.
while :; do
  sleep infinity &
  wait $! || true
done
