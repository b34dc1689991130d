#!/usr/bin/env bash
# A small cluster on this machine: a workstation, a jump host, a login node with Slurm, two compute nodes.
#
#   cluster.sh [-C DIR] up                 starts it and prints its folder; it stays until `down`
#   cluster.sh [-C DIR] hold               the same, until stdin ends or the caller dies
#   cluster.sh [-C DIR] down               ends it; nothing is left
#   cluster.sh [-C DIR] status             what runs
#   cluster.sh [-C DIR] as HOST USER [--] CMD…   runs a command there, from the user's home
#   cluster.sh packages                    installs the Debian packages that it needs
#
#   … sshd-stop|sshd-start HOST            a hop's sshd with all its connections
#   … slurmd-stop|slurmd-start NODE        a node's daemon; its jobs go on
#   … freeze|thaw HOST PROGRAM             SIGSTOP and SIGCONT to all processes of that name
#   … cut|join HOST                        its network: packets are lost in silence
#   … power-off|power-on NODE              the whole node
#   … small-disk FOLDER SIZE               a file system of its own for a folder below /home
#   … no-small-disk FOLDER
#   … time-up JOB                          the time limit of a job is reached now
#
# DIR is by default a new folder in target/world/cluster, or the one instance that runs there.
# CLUSTER_PRIVATE_TMP=yes gives each job a /tmp of its own. Exit codes of `up` and `hold`: 77 where hosts are
# not possible (no root, no namespaces), 78 where Debian packages are missing.

# shellcheck disable=SC2034 # dir, instances and target are read by the parts
set -euo pipefail
shopt -s nullglob

tests=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
here=$tests/world/cluster
# shellcheck source=tests/tools.sh
source "$tests/tools.sh"
for part in names users hosts cgroup packages instance faults; do
  # shellcheck source=/dev/null
  source "$here/$part.sh"
done
target=${CARGO_TARGET_DIR:-$tests/../target}
mkdir -p "$target/world/cluster"
target=$(cd "$target" && pwd)
instances=$target/world/cluster

usage() {
  sed -n '2,/^$/s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" >&2
  exit 2
}

dir=""
while getopts C: option; do
  case $option in
    C) dir=$(realpath -m "$OPTARG") ;;
    *) usage ;;
  esac
done
shift $((OPTIND - 1))
(($#)) || usage
command=$1
shift

case $command in
  packages) need_cluster_packages ;;
  up | hold | down | status) "$command" ;;
  as | sshd-stop | sshd-start | slurmd-stop | slurmd-start | freeze | thaw | cut | join | power-off | \
    power-on | small-disk | no-small-disk | time-up)
    find_instance
    "${command//-/_}" "$@"
    ;;
  *) usage ;;
esac
