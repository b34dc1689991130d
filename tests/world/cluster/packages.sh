# shellcheck shell=bash disable=SC2154 # its variables are those of who sources it
# Sourced: what the hosts need of the machine. Needs tests/tools.sh.

cluster_packages=(
  slurmctld="the scheduler" slurmd="the scheduler's nodes" slurm-client="sbatch, squeue, srun"
  munge="Slurm's authentication" openssh-server="every hop" openssh-client="the way through the hops"
  iproute2="networks" util-linux="namespaces" procps="signals by name"
)

# Debian starts daemons when it installs them. The hosts have their own: for the time of the
# installation the machine's policy says no, unless it has a policy already.
need_cluster_packages() {
  local policy=/usr/sbin/policy-rc.d status=0
  if [[ -e $policy ]] || ((EUID != 0)); then
    need "${cluster_packages[@]}"
    return
  fi
  printf '%s\n' '#!/bin/sh' '# Written by the tests of envspec while they install packages.' 'exit 101' >"$policy"
  chmod 755 "$policy"
  need "${cluster_packages[@]}" || status=$?
  rm -f "$policy"
  # They would start at the machine's next boot.
  systemctl --quiet disable munge slurmd slurmctld 2>/dev/null || true
  return "$status"
}

missing_programs() {
  local program PATH=$PATH:/usr/sbin:/sbin
  for program in slurmctld slurmd sbatch munged sshd ssh ip unshare flock pkill; do
    command -v "$program" >/dev/null || printf '%s ' "$program"
  done
}

# Why no hosts can be made here; nothing if they can.
why_not() {
  if ((EUID != 0)); then
    echo "the hosts of the tests need root"
  elif ! unshare --mount --net --uts --ipc --pid --fork --mount-proc true 2>/dev/null; then
    echo "the hosts of the tests need namespaces, which this machine does not allow"
  elif ! unshare --net ip link add probe type veth peer name probe-peer 2>/dev/null; then
    echo "the hosts of the tests need virtual network links (veth), which this kernel does not have"
  fi
}
