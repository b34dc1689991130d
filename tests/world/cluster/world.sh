#!/usr/bin/env bash
# The first process of an instance: the switch that the hosts are plugged into, and their parent.
#
# It runs in namespaces of its own (processes, mounts, network, IPC), and the hosts in namespaces
# within: no bridge, link or mount of an instance has a name outside, two instances can't collide, and
# the kernel takes all of it away when this process dies.
#   world.sh DIR TARGET PRIVATE_TMP
# shellcheck disable=SC2154 # names.sh says hosts and networks
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
for part in names users keys slurm hosts cgroup; do
  # shellcheck source=/dev/null
  source "$here/$part.sh"
done
dir=$1 target=$2 private_tmp=$3

install -d -o slurm -m 700 "$dir/log"
for host in "${hosts[@]}"; do
  mkdir -p "$dir/$host"/{etc,tmp}
  chmod 1777 "$dir/$host/tmp"
  write_users "$dir" "$host"
  write_sshd "$dir" "$host"
  names_of "$host" >"$dir/$host/etc/hosts"
  echo "$host" >"$dir/$host/etc/hostname"
done
write_homes "$dir"
write_keys "$dir"
proctrack=linuxproc
if make_cgroup "$dir"; then proctrack=cgroup; fi
write_slurm "$dir" "$proctrack" "$private_tmp"

# A file system mounted below the shared home from here appears in all hosts that share it.
mount --bind "$dir/cluster/home" "$dir/cluster/home"
mount --make-shared "$dir/cluster/home"

ip link set lo up
for network in "${networks[@]}"; do
  ip link add "$network" type bridge
  ip link set "$network" up
done
for host in "${hosts[@]}"; do start_host "$dir" "$host" "$target"; done
for host in "${hosts[@]}"; do await_host "$dir" "$host"; done
await_nodes "$dir"
echo ready >"$dir/state"

while :; do
  sleep infinity &
  wait $! || true
done
