#!/usr/bin/env bash
# Starts a daemon of a host, inside it: at its boot, and again when a test had ended it.
#   daemons.sh DIR sshd|munged|slurmctld|slurmd
set -euo pipefail

# Nothing of who starts it may reach the users' sessions and jobs.
clean() { env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 "$@" </dev/null; }

case $2 in
  sshd) clean /usr/sbin/sshd -E "$1/log/sshd-$(hostname).log" ;;
  munged)
    install -d -o munge -g munge -m 755 /run/munge
    install -o munge -g munge -m 600 "$1/cluster/munge.key" /run/munge/key
    clean setpriv --reuid munge --regid munge --clear-groups munged --key-file=/run/munge/key \
      --pid-file=/run/munge/pid --log-file=/run/munge/log --seed-file=/run/munge/seed
    ;;
  slurmctld) clean slurmctld ;;
  slurmd)
    mkdir -p /run/slurmd
    clean slurmd
    ;;
  *) echo "no daemon $2" >&2 && exit 2 ;;
esac
