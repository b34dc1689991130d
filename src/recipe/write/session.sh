# --- from here on the script is the same for every session ---------------------
set -euo pipefail

usage() {
  cat <<END_OF_USAGE
usage: bash ${0##*/} WORD
  start        start the server
  interactive  start it in a terminal, inside a screen
  where        say where it runs
  connect      open the tunnel and say what to open
  token        print the token
  disconnect   close the tunnel
  stop         close the tunnel and end the server
END_OF_USAGE
}
die() {
  printf '%s\n' "$*" >&2
  exit 1
}

config=$HOME/$config
# Where jobs are submitted: on the login node, known by its name, or on a machine
# with the session's folder and a cluster. A laptop may have Slurm's programs.
is_there() {
  [ "$place" = here ] && return
  { [ "$place" = node ] && command -v sbatch >/dev/null 2>&1; } || return 1
  local machine
  machine=$(uname -n)
  case " $login_hosts " in *" ${machine%%.*} "*) return 0 ;; esac
  [ -d "${start_script%/sessions/*}" ] && has_cluster
}
has_cluster() {
  local file
  [ -z "${SLURM_CONF:-}" ] || return 0
  for file in /etc/slurm /etc/slurm-llnl /run/slurm/conf; do
    if [ -f "$file/slurm.conf" ]; then return 0; fi
  done
  return 1
}
# A job is no place to start another session from: srun would take the job's own
# cores, and a screen there ends with the job.
not_in_a_job() {
  [ -z "${SLURM_JOB_ID:-}" ] || die "this is inside job $SLURM_JOB_ID${1:+, and $1}; type it on the login node"
}
over_ssh() { ssh -F "$config" "$@"; }
# Runs a command line where the session is started: here, or through ssh.
there() {
  if is_there; then bash -c "$1"; else over_ssh "$login" "$1"; fi
}
in_terminal_there() {
  if is_there; then exec bash -c "$1"; else exec ssh -F "$config" -t "$login" "$1"; fi
}

write_config() {
  [ "$place" = here ] || is_there && return 0
  (
    umask 077
    mkdir -p -- "$HOME/.ssh"
    ssh_config_text >"$config"
  )
}

# Sets node and at; at is the path of a socket, or an address with a port.
find_it() {
  local line
  node='' at=''
  line=$(there "$endpoint" | tail -n 1) || die "not ready yet; see: bash $0 where"
  read -r node at <<<"$line"
  [ -n "$at" ] || die "not ready yet; see: bash $0 where"
  # What comes from there is not believed more than it has to be.
  case $node in -* | *[!A-Za-z0-9._-]*) die "$node is no name of a node" ;; esac
  case $at in /* | 127.0.0.1:*) ;; *) die "$at is no place where a server listens" ;; esac
  if [ "$place" = node ] && ! there "$running" | grep -qxF -- "$node"; then
    # The file outlives a server whose node was lost; Slurm knows better.
    die "Slurm runs no $session on $node; see: bash $0 where"
  fi
}

say_how_to_open() {
  printf 'open   %s\n' "$1"
  if [ "$login_with" = token ]; then printf 'token  bash %s token\n' "$0"; fi
}

close_tunnel() {
  if over_ssh -O exit "$session" 2>/dev/null; then printf 'tunnel closed\n'; fi
}

# From where no sbatch is, an ssh would lead out of the cluster and in again.
if [ -n "$no_onward_hop" ] && ! is_there; then not_in_a_job "$no_onward_hop"; fi
write_config
case ${1:-} in
  start)
    start_script_text | there "$store"
    case $place in
      here) exec bash "$start_script" ;;
      last_hop) in_terminal_there "$interactive" ;;
      node) there "$submit" ;;
    esac
    ;;
  interactive)
    [ -z "$not_interactive" ] || die "$not_interactive; submit it instead: bash $0 start"
    if [ "$place" = node ]; then not_in_a_job "$no_screen_on_node"; fi
    start_script_text | there "$store"
    in_terminal_there "$interactive"
    ;;
  where)
    if [ "$place" = node ]; then there "$queue"; fi
    there "$endpoint" || die "not ready yet"
    ;;
  connect)
    find_it
    if [ "$place" = here ]; then
      say_how_to_open "http://$at"
      exit
    fi
    if is_there; then die "this is the cluster: connect from the laptop"; fi
    close_tunnel || :
    target=()
    if [ "$place" = node ]; then target=(-o "HostName=$node"); fi
    over_ssh -fN ${target[@]+"${target[@]}"} -L "127.0.0.1:$local_port:$at" "$session"
    say_how_to_open "$url"
    ;;
  token)
    there "$token"
    printf '\n'
    ;;
  disconnect) close_tunnel || : ;;
  stop)
    if ! is_there; then close_tunnel || :; fi
    if [ "$place" = node ]; then there "$cancel"; else printf 'now Ctrl-C where the server runs\n'; fi
    ;;
  *)
    usage >&2
    exit 2
    ;;
esac
