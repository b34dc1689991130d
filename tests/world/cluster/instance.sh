# shellcheck shell=bash disable=SC2154 # its variables are those of who sources it
# Sourced by cluster.sh: an instance begins, is found, and ends without leftovers.
#
# `hold` is the parent of all. Its lock says that it lives; when it dies, however it dies, the kernel
# kills the world's first process (PDEATHSIG), and with that every process, mount and network of it. What
# can be left then are files and empty control groups: the next `up` sweeps them away.

hold() {
  local until=${CLUSTER_HOLD_UNTIL:-eof} status=0 why
  # Not local: `end` needs them when this function is left.
  reader="" world=""
  why=$(missing_programs)
  if [[ $why ]]; then
    echo "not installed: $why; run tests/world/cluster.sh packages" >&2
    exit 78
  fi
  why=$(why_not)
  if [[ $why ]]; then
    echo "$why" >&2
    exit 77
  fi
  sweep
  if [[ $dir ]]; then
    mkdir "$dir"
  else
    dir=$(mktemp -d "$instances/XXXXXX")
  fi
  # Its files are for the hosts' users to reach, not to list.
  chmod 711 "$dir"
  exec 9>"$dir/lock"
  flock --nonblock 9
  od -An -N4 -tx4 /dev/urandom | tr -d ' ' >"$dir/id"
  echo $$ >"$dir/holder"
  trap 'exit 143' TERM INT HUP
  trap end EXIT
  exec {input}<&0
  local pinned=()
  if [[ ${CLUSTER_PRIVATE_TMP:-no} == yes ]]; then
    # Slurm mounts the file of a new mount namespace, which Linux allows only if that has a higher
    # number than one's own. Since 6.18 each processor gives numbers out of a supply of its own.
    pinned=(taskset --cpu-list "$(sed -n 's/^Cpus_allowed_list:\s*\([0-9]*\).*/\1/p' /proc/self/status)")
  fi
  setpriv --pdeathsig KILL "${pinned[@]}" \
    unshare --mount --net --ipc --pid --fork --kill-child --mount-proc \
    "$here/world.sh" "$dir" "$target" "${CLUSTER_PRIVATE_TMP:-no}" </dev/null >"$dir/world.log" 2>&1 {input}<&- &
  world=$!
  until [[ -e $dir/state ]]; do
    if ! kill -0 "$world" 2>/dev/null; then
      cat "$dir/world.log" >&2
      exit 1
    fi
    sleep 0.02
  done
  first_process "$world" >"$dir/pid"
  echo "$dir"
  if [[ $until == eof ]]; then
    setpriv --pdeathsig KILL cat <&"$input" >/dev/null &
    reader=$!
  fi
  wait -n $reader "$world" || status=$?
  return "$status"
}

# The child of `unshare`. usage: first_process PID
first_process() {
  local child
  child=$(cat "/proc/$1/task/$1/children" 2>/dev/null) || return
  [[ $child ]] && echo "${child% }"
}

# The end of a holder: first the processes, then what they held.
end() {
  local status=$?
  trap '' TERM INT HUP
  trap - EXIT
  # The world's first process dies when all others of the world are gone, and `unshare` after it. (The
  # other way round nobody would know when the last one is gone.)
  # shellcheck disable=SC2046,SC2086 # one number a word, or none
  kill -KILL $(first_process "$world" || echo "$world") $reader 2>/dev/null || true
  wait 2>/dev/null
  exec 9>&-
  remove "$dir" || status=1
  exit "$status"
}

# Removes an instance whose processes are gone. usage: remove DIR
remove() {
  # The world's first process has the lock as well: when it is free, no process of it is left.
  [[ ! -e $1/lock ]] || flock --timeout 20 "$1/lock" true
  [[ ! -e $1/id ]] || remove_cgroup "$1"
  rm -rf --one-file-system "$1"
}

# Removes what a killed holder has left.
sweep() {
  local left
  for left in "$instances"/*/id; do
    left=${left%/id}
    ! alive "$left" || continue
    echo "removing what is left of $left" >&2
    remove "$left" || true
  done
}

# Whether an instance is held. usage: alive DIR
alive() { [[ -e $1/lock ]] && ! flock --nonblock "$1/lock" true; }

up() {
  local log
  log=$(mktemp)
  # Its own session: neither the terminal's end nor Ctrl-C of the caller reaches it.
  CLUSTER_HOLD_UNTIL=down setsid "$0" ${dir:+-C "$dir"} hold </dev/null >"$log" 2>"$log.err" &
  trap 'kill -TERM $!; rm -f "$log" "$log.err"; exit 143' TERM INT HUP
  while :; do
    if ! kill -0 $! 2>/dev/null; then
      local status=0
      wait $! || status=$?
      cat "$log.err" >&2
      rm -f "$log" "$log.err"
      exit "$status"
    fi
    [[ ! -s $log ]] || break
    sleep 0.02
  done
  cat "$log.err" >&2
  cat "$log"
  rm -f "$log" "$log.err"
}

down() {
  [[ $dir ]] || find_instance
  if [[ ! -e $dir/id ]]; then
    echo "no cluster in $dir" >&2
    exit 1
  fi
  if alive "$dir"; then
    kill -TERM "$(<"$dir/holder")"
    while alive "$dir"; do sleep 0.02; done
  fi
  # The holder is about to do the same; whoever comes first.
  if [[ -e $dir/id ]]; then
    remove "$dir"
  else
    rm -rf --one-file-system "$dir"
  fi
}

status() {
  local one
  for one in "$instances"/*/id; do
    one=${one%/id}
    if alive "$one"; then echo "$one: $(<"$one/state")"; else echo "$one: left over"; fi
  done
  [[ $dir ]] || return 0
  find_instance
  for one in "${hosts[@]}"; do echo "$one: $(enter cat "$dir/$one/state" 2>/dev/null || echo off)"; done
  (as login ada sinfo)
  (as login ada squeue)
}

# Sets dir to the instance that is meant.
find_instance() {
  local one found=()
  if [[ -z $dir ]]; then
    for one in "$instances"/*/pid; do
      ! alive "${one%/pid}" || found+=("${one%/pid}")
    done
    if ((${#found[@]} != 1)); then
      echo "${#found[@]} instances run in $instances: say which with -C DIR" >&2
      exit 1
    fi
    dir=${found[0]}
  fi
  if [[ ! -e $dir/pid ]] || ! alive "$dir"; then
    echo "no cluster runs in $dir" >&2
    exit 1
  fi
}
