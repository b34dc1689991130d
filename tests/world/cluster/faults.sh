# shellcheck shell=bash disable=SC2154 # its variables are those of who sources it
# Sourced by cluster.sh: entering an instance from the machine, and what can go wrong in it.

# As root in the instance's world, where its network and its hosts' parents are. usage: enter CMD…
enter() { nsenter --net --ipc --pid --mount --target "$(<"$dir/pid")" -- "$@"; }

# A function of these files, in the world. usage: in_world FUNCTION ARGUMENT…
in_world() {
  # shellcheck disable=SC2016 # expands in the inner shell
  enter bash -euo pipefail -c '
    here=$1
    for part in names users hosts; do source "$here/$part.sh"; done
    "${@:2}"' bash "$here" "$@"
}

known_host() {
  if ! is_host "${1:-}"; then
    echo "no host '${1:-}': ${hosts[*]}" >&2
    exit 2
  fi
}

# A user's command on a host, from the home folder and with the environment of a login. It dies with
# whoever started it.
as() {
  local host=${1:-} user=${2:-}
  known_host "$host"
  if [[ " root $(users_of "$host") " != *" $user"[:\ ]* ]]; then
    echo "no user '$user' on $host: root $(users_of "$host")" >&2
    exit 2
  fi
  shift 2
  [[ ${1:-} != -- ]] || shift
  local home=/home/$user
  [[ $user != root ]] || home=/
  exec nsenter --net --ipc --pid --mount --target "$(<"$dir/pid")" -- \
    setpriv --pdeathsig KILL \
    nsenter --net --uts --ipc --pid --mount --target "$(<"$dir/$host/pid")" -- \
    setpriv --reuid "$user" --regid "$user" --init-groups --pdeathsig KILL \
    env --ignore-environment --chdir="$home" HOME="$home" USER="$user" LOGNAME="$user" SHELL=/bin/bash \
    PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin LANG=C.UTF-8 "$@"
}

# usage: on HOST CMD…, as root
on() {
  known_host "$1"
  in_world in_host "$dir" "$@"
}

sshd_stop() { on "$1" pkill -KILL -x sshd; }
sshd_start() { on "$1" "$here/daemons.sh" "$dir" sshd; }

# Only the daemon: a job's slurmstepd goes on, as it does at a site.
slurmd_stop() { on "$1" pkill -KILL -x slurmd; }
slurmd_start() { on "$1" "$here/daemons.sh" "$dir" slurmd; }

freeze() { on "$1" pkill -STOP -x "$2"; }
thaw() { on "$1" pkill -CONT -x "$2"; }

# The cable stays in the host and is pulled at the switch: nobody is told, as when a wireless network
# or a VPN is lost.
cut() { known_host "$1" && in_world cable "$1" nomaster; }
join() { known_host "$1" && in_world cable "$1"; }

power_off() { known_host "$1" && in_world kill_host "$dir" "$1"; }
power_on() {
  known_host "$1"
  in_world start_host "$dir" "$1" "$target"
  in_world await_host "$dir" "$1"
}

# usage: small_disk FOLDER SIZE, a path below the cluster's /home; SIZE as mount takes it (64k)
small_disk() { in_world mount_small "$(shared_path "$1")" "$2"; }
no_small_disk() { enter umount "$(shared_path "$1")"; }

shared_path() {
  if [[ $1 != /home/* ]]; then
    echo "not below /home: $1" >&2
    exit 2
  fi
  echo "$dir/cluster$1"
}

# Slurm looks at the limits every half minute.
time_up() { on login scontrol update "JobId=$1" EndTime=now; }
