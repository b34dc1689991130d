set -eu
umask 077
export LC_ALL="${LC_ALL:-C.UTF-8}"

# Whoever listened may be gone: no reason to leave a server alone. (Caught and not
# ignored: that would be handed on to every program of the session.)
trap : PIPE
say() { printf 'envspec: %s\n' "$*" >&2 2>/dev/null || :; }
die() {
  say "$*"
  exit 1
}

node=${SLURMD_NODENAME:-$(uname -n)}
if [ "$scheduler" = slurm ] && [ -n "${SLURM_JOB_ID:-}" ]; then
  # A requeue runs this script again, maybe on another node: everything that is
  # written is keyed by the job and by how often it was restarted.
  restart=${SLURM_RESTART_COUNT:-0}
  key=$SLURM_JOB_ID-$restart
else
  # The machine's own name: by it a look knows whether the process is one of its own.
  node=$(uname -n)
  restart=0
  key=${node%%.*}.$$-0
fi
private=$sessions/$key
pointer=$sessions/$session

# 0. The node has what the packages need of it. ----------------------------------
# Before anything of theirs is run: what a program says that misses its libc is no help.
# What can't be found out is no reason to stop; CONDA_OVERRIDE_* know better.
newest() { printf '%s\n' "$@" | sort -V | tail -n 1; }
flags=
flagged() {
  local flag
  for flag; do
    case $flags in *" $flag "*) ;; *) return 1 ;; esac
  done
}
# The level of x86-64 that the processor has.
level() {
  flags=" $(sed -n 's/^flags[^:]*: //p' /proc/cpuinfo | head -n 1) "
  if ! flagged cx16 lahf_lm popcnt pni sse4_1 sse4_2 ssse3; then
    echo x86_64_v1
  elif ! flagged abm avx avx2 bmi1 bmi2 f16c fma movbe; then
    echo x86_64_v2
  elif ! flagged avx512bw avx512cd avx512dq avx512f avx512vl; then
    echo x86_64_v3
  else
    echo x86_64_v4
  fi
}
cuda() {
  local said
  if said=$(nvidia-smi 2>/dev/null); then
    said=$(sed -n 's/.*CUDA Version: *\([0-9.]*\).*/\1/p' <<<"$said" | head -n 1)
    echo "${said:-unknown}"
  elif [ -e /proc/driver/nvidia/version ]; then
    echo unknown
  fi
}
offered() {
  case $1 in
    glibc) echo "${CONDA_OVERRIDE_GLIBC-$(getconf GNU_LIBC_VERSION 2>/dev/null | cut -d ' ' -f 2)}" ;;
    linux) echo "${CONDA_OVERRIDE_LINUX-$(uname -r | sed 's/[^0-9.].*//')}" ;;
    cuda) echo "${CONDA_OVERRIDE_CUDA-$(cuda)}" ;;
    archspec) echo "${CONDA_OVERRIDE_ARCHSPEC-$(level)}" ;;
  esac
}
while read -r what least must by; do
  [ -n "$what" ] || continue
  there=$(offered "$what") || there=unknown
  case $what:$must:$there in
    # Somebody's own word for a processor, and what this script can't find out.
    *:unknown | glibc:*: | linux:*: | *:may:) continue ;;
    archspec:*:x86_64_v*) ;;
    archspec:*) continue ;;
  esac
  if [ "$least" = - ]; then
    if [ -n "$there" ]; then continue; fi
  elif [ -n "$there" ] && [ "$(newest "$least" "$there")" = "$there" ]; then
    continue
  fi
  case $what in
    archspec) wanted="a processor of $least" ;;
    *) wanted="$what${least:+ ${least#-}}" ;;
  esac
  die "this environment needs ${wanted% }, node $node has ${there:-none} (needed by $by)"
done <<<"$needs"

# 1. Private folders. ----------------------------------------------------------
# $private is on the shared file system: the token and where the server listens.
# $scratch is of this node: Jupyter's configuration and run-time files.
mkdir -p -- "$sessions"
case $sessions in
  # In a group's root the group sees what is in use, and others may have put a link
  # or a folder of theirs there.
  */members/*/sessions)
    own=${sessions%/*}
    if [ -L "$own" ] || [ ! -O "$own" ] || [ ! -O "$sessions" ]; then die "$own is not yours, or a link"; fi
    chmod 750 -- "$sessions"
    ;;
  *) chmod 700 -- "$sessions" ;;
esac
server=
probe=
scratch=
# shellcheck disable=SC2317,SC2329 # called by the trap
clean() {
  if [ -n "$server" ]; then kill -TERM "$server" 2>/dev/null || :; fi
  if [ -n "$probe" ]; then kill -KILL "$probe" 2>/dev/null || :; fi
  # In this order: who sees that the second is gone knows that the first is.
  if [ -n "$scratch" ]; then rm -rf -- "$scratch" || return; fi
  if [ -n "$ending" ] && [ -n "${SLURM_JOB_ID:-}" ]; then
    # Told to end, maybe to go on elsewhere: the token opens the page there too.
    find "$private" -mindepth 1 ! -name token ! -name cluster -exec rm -rf -- {} +
  else
    rm -rf -- "$private"
  fi
  if [ "$(readlink -- "$pointer" 2>/dev/null)" = "$key" ]; then
    rm -f -- "$pointer"
    # Another server of this name, if there is one.
    for other in "$sessions"/*/session.json; do
      if grep -qF "\"session\": \"$session\"," "$other" 2>/dev/null; then
        other=${other%/*}
        ln -sfn -- "${other##*/}" "$pointer"
      fi
    done
  fi
}
kept=
if [ "$restart" -gt 0 ]; then
  # What this same job left behind when it was ended elsewhere. Its token goes on,
  # so that the same address opens the page.
  for earlier in $(seq 0 "$((restart - 1))"); do
    earlier=${sessions:?}/$SLURM_JOB_ID-$earlier
    if [ -O "$earlier/token" ]; then kept=$(cat -- "$earlier/token"); fi
    rm -rf -- "$earlier"
  done
fi
if [ -e "$private" ]; then die "$private exists: this job runs a server already"; fi
mkdir -- "$private"
trap clean EXIT
# Before the token, by which the folder counts: another cluster may have the same
# home, and its scheduler does not know this job.
if [ -n "${SLURM_JOB_ID:-}" ] && [ -n "${SLURM_CLUSTER_NAME:-}" ]; then
  printf '%s\n' "$SLURM_CLUSTER_NAME" >"$private/cluster"
fi
ending=
# shellcheck disable=SC2317,SC2329 # called by the trap too
end() {
  ending=yes
  if [ -n "$server" ]; then kill -TERM "$server" 2>/dev/null || :; fi
}
trap end TERM INT HUP

case $endpoint in
  node_socket) scratch=$(mktemp -d /tmp/envspec.XXXXXXXX) ;;
  *) scratch=$(mktemp -d "${TMPDIR:-/tmp}/envspec.XXXXXXXX") ;;
esac
mkdir -- "$scratch/config" "$scratch/runtime"
# What servers left on this node that were killed before they could clean up. One
# that lives has the lock of its folder, from before the lock's name is there.
if command -v flock >/dev/null 2>&1; then
  for left in /tmp/envspec.*; do
    if [ ! -L "$left" ] && [ -O "$left" ] && [ ! -L "$left/lock" ] && [ -f "$left/lock" ]; then
      flock --nonblock "$left/lock" rm -rf -- "$left" || :
    fi
  done
  exec 9>"$scratch/new"
  flock 9
  mv -- "$scratch/new" "$scratch/lock"
fi

# The newest server of this name.
ln -sfn -- "$key" "$pointer"

# 2. The token: made here, written to one file, and in no argv, no environment
# and no log. No newline at its end: Jupyter would take it as part of the token.
token_file=$private/token
if [ "${#kept}" -eq 64 ]; then
  printf %s "$kept" >"$token_file"
else
  od -An -vN32 -tx1 /dev/urandom | tr -d ' \n' >"$token_file"
fi
[ "$(wc -c <"$token_file")" -eq 64 ] || die "no random bytes from /dev/urandom"

# 3. The environment. ----------------------------------------------------------
# It is made in a shell of its own, which becomes the server: it has the
# environment of this one but none of its variables, and all that it needs stands
# in its arguments. So a variable of the spec or of a package may have any name:
# it reaches the kernels, and neither this script nor what it cleans.
# The arguments are variables to set, activation scripts to source, variables
# that nothing may change, and the command; each list but the last ends with `--`.
# shellcheck disable=SC2317,SC2329 # called by the shell of the server
serve() {
  while [ "$1" != -- ]; do
    # `command`: a name that bash keeps for itself (UID) does not end the shell.
    command export "${1?}"
    shift
  done
  shift
  while [ "$1" != -- ]; do
    activate "$1"
    shift
  done
  shift
  # Activation scripts are not written for `set -eu`, but may leave it behind.
  set +eu
  # Nothing outside may decide how the server is protected: no variable of the
  # user, the scheduler or the spec (JUPYTER_TOKEN outranks the token's file), no
  # configuration in ~/.jupyter (a private, empty folder takes its place), none in
  # ~/.local/etc/jupyter (no user site).
  unset "${!JUPYTER_@}"
  while [ "$1" != -- ]; do
    command export "${1?}"
    shift
  done
  shift
  exec "$@"
}
# A function: what a script does to `$@` ends with it.
# shellcheck disable=SC1090,SC2317,SC2329
activate() {
  . "$1"
}

unset PYTHONPATH PYTHONHOME
user_config=${JUPYTER_CONFIG_DIR:-$HOME/.jupyter}
defaults=(
  CONDA_PREFIX="$generation"
  CONDA_DEFAULT_ENV="$environment"
  CONDA_SHLVL=1
  PATH="$generation/bin:$PATH"
  # Themes and shortcuts are the user's and outlive the session.
  JUPYTERLAB_SETTINGS_DIR="${JUPYTERLAB_SETTINGS_DIR:-$user_config/lab/user-settings}"
  JUPYTERLAB_WORKSPACES_DIR="${JUPYTERLAB_WORKSPACES_DIR:-$user_config/lab/workspaces}"
)
activations=()
for activation in "$generation"/etc/conda/activate.d/*.sh; do
  if [ -r "$activation" ]; then activations+=("$activation"); fi
done
protections=(
  JUPYTER_CONFIG_DIR="$scratch/config"
  JUPYTER_RUNTIME_DIR="$scratch/runtime"
  JUPYTER_TOKEN_FILE="$token_file"
  JUPYTER_PREFER_ENV_PATH=1
  PYTHONNOUSERSITE=1
)

# How this server differs from Jupyter's own.
{
  printf 'script = %d\n' "$$"
  config
} >"$scratch/config/jupyter_server_config.py"

case $login in
  token) ;;
  password)
    [ -r "$sessions/password/jupyter_server_config.json" ] ||
      die "no password is set: envspec recipe --password says how"
    cp -- "$sessions/password/jupyter_server_config.json" "$scratch/config/"
    ;;
esac

# 4. The server. ---------------------------------------------------------------
case $root_dir in
  "") folder=$HOME ;;
  /*) folder=$root_dir ;;
  *) folder=$HOME/$root_dir ;;
esac
[ -d "$folder" ] || die "there is no folder $folder to show"
options=(
  --no-browser
  --ServerApp.root_dir="$folder"
  --ServerApp.ip=127.0.0.1
  --ServerApp.allow_remote_access=False
  --ServerApp.allow_unauthenticated_access=False
)
if [ "$(id -u)" -eq 0 ]; then options+=(--allow-root); fi
if [ "$idle" -gt 0 ]; then
  # A server ends itself only when it has no kernels: those go first.
  options+=(
    --MappingKernelManager.cull_idle_timeout="$idle"
    --MappingKernelManager.cull_interval="$((idle < 60 ? idle : 60))"
    --MappingKernelManager.cull_connected=True
    --TerminalManager.cull_inactive_timeout="$idle"
    --ServerApp.shutdown_no_activity_timeout="$idle"
  )
fi

socket=
case $endpoint in
  node_socket) socket=$scratch/server.sock ;;
  session_socket) socket=$private/server.sock ;;
esac
# The kernel's limit is 107 bytes.
if [ "$(printf %s "$socket" | wc -c)" -gt 107 ]; then
  say "the path of the socket is too long; listening on a port of the loopback"
  socket=
fi
if [ -n "$socket" ]; then
  options+=(--ServerApp.sock="$socket")
elif [ -n "${SLURM_JOB_ID:-}" ]; then
  # Jobs on one node must not meet. If it is taken Jupyter tries others and says
  # in its info file which one it got.
  options+=(--ServerApp.port="$((20000 + RANDOM % 12000))" --ServerApp.port_retries=50)
else
  options+=(--ServerApp.port="$port" --ServerApp.port_retries=50)
fi

await() {
  # A trapped signal interrupts `wait`: wait again until the process is gone.
  local pid=$1 status=0 seconds=0
  while :; do
    status=0
    wait "$pid" || status=$?
    kill -0 "$pid" 2>/dev/null || return "$status"
    while [ -n "$ending" ] && kill -0 "$pid" 2>/dev/null; do
      # Slurm kills two minutes after the first warning; be done before.
      if [ "$seconds" -ge 90 ]; then kill -KILL "$pid" 2>/dev/null || :; fi
      seconds=$((seconds + 1))
      sleep 1
    done
  done
}

# A job's output is Slurm's to keep; a terminal is for what the user needs to know.
log=
if [ "$announce" = url ]; then log=$sessions/$key.log; fi

start() {
  if [ -n "$log" ]; then exec >"$log" 2>&1; fi
  # The name of a list that may be empty is written so for bash before 4.4.
  exec "$BASH" -c "$(declare -f serve activate)"'; serve "$@"' serve \
    "${defaults[@]}" ${variables[@]+"${variables[@]}"} -- \
    ${activations[@]+"${activations[@]}"} -- \
    "${protections[@]}" -- \
    "$generation/bin/jupyter-$interface" "${options[@]}" </dev/null
}

[ -z "$ending" ] || exit 0
# A group of its own: Ctrl-C is for this script, which ends the server in order.
# Told twice, Jupyter leaves kernels behind.
launch() {
  set -m
  start &
  server=$!
  set +m
}

# 5. Ready only when a stranger was refused and the owner was served. ------------
prove() {
  "$generation/bin/python" -I - "$server" "$scratch/runtime" "$token_file" "$node" \
    "$private" "$key" "$session" "$environment" "${generation##*/}" "${SLURM_JOB_ID:-}" \
    "$restart" "$$" "$url_path" "$login" "$port_was_taken" <<<"$(probe)" &
  probe=$!
}

# Of two servers that found the same port free one gets it; the other tries again.
port_was_taken=75
for attempt in 1 2 3 4; do
  launch
  prove
  status=0
  await "$probe" || status=$?
  probe=
  if [ "$status" -ne "$port_was_taken" ] || [ -n "$ending" ] || [ "$attempt" -eq 4 ]; then break; fi
  await "$server" || :
done
if [ "$status" -eq "$port_was_taken" ]; then say "the server ended before it answered"; fi
if [ "$status" -ne 0 ] && [ -z "$ending" ]; then
  end
  await "$server" || :
  if [ -n "$log" ]; then tail -n 20 -- "$log" >&2; fi
  ending=
  die "the session did not become ready${log:+; all that it said is in $log}"
fi

# 6. Until the end. --------------------------------------------------------------
if [ -z "$ending" ]; then
  read -r _ where <"$private/endpoint"
  say "$session is ready on $node"
  if [ "$announce" = url ]; then
    say "open   http://$where$url_path"
    say "token  cat $(printf %q "$token_file")"
    say "log    $log"
    say "end    Ctrl-C here"
  fi
fi
status=0
await "$server" || status=$?
server=
if [ -n "$ending" ]; then status=0; fi
say "$session has ended"
# What ended well has nothing more to tell, but how Slurm came to end it.
if [ "$status" -eq 0 ]; then
  if [ -n "$log" ]; then rm -f -- "$log"; fi
  if [ -z "$ending" ]; then rm -f -- "$sessions/${SLURM_JOB_ID:-$session}.log"; fi
fi
exit "$status"
