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

home=$(home_of "$dir" "$host")
# Held open: the mounts below may hide the way to them.
exec 5<"$here" 6<"$home" 7<"$dir/$host/tmp" 8<"$dir" 9<"$target"

# Mounts an open folder. usage: mount_open FD PATH
mount_open() { mount --no-canonicalize --rbind "/proc/self/fd/$1" "$2"; }

for file in passwd group shadow hosts hostname; do
  mount --bind "$dir/$host/etc/$file" "/etc/$file"
done
mount --bind "$dir/$host/ssh" /etc/ssh
if in_cluster "$host"; then
  mount --bind "$dir/cluster/slurm" /etc/slurm
fi
mount -t tmpfs -o mode=1777 shm /dev/shm
mount -t tmpfs -o mode=755 run /run
mkdir -p /run/sshd
if [[ -d $dir/cgroup/$host ]]; then
  mkdir -p /run/cgroup/freezer
  mount --bind "$dir/cgroup/$host" /run/cgroup/freezer
fi
# The home with the small disks that are there already.
mount_open 6 /home
mount_open 7 /tmp

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
  [[ $1 -ef /proc/self/fd/$2 ]] || mount_open "$2" "$1"
}
expose "$target" 9
expose "$dir" 8
expose "$here" 5
exec 5<&- 6<&- 7<&- 8<&- 9<&-

# Until the world has plugged its interfaces in.
until [[ -e $dir/$host/plugged ]]; do sleep 0.01; done
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
