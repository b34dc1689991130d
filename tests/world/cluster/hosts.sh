# shellcheck shell=bash disable=SC2154 # its variables are those of who sources it
# Sourced, inside an instance's world: hosts are started, plugged in, entered and ended.

# usage: start_host DIR HOST TARGET
start_host() {
  local unshare pid
  rm -f "$1/$2/state" "$1/$2/plugged"
  # What is mounted in the world later (a small disk) reaches the host, nothing goes the other way.
  # 9 is the holder's lock: no process of a user may keep it.
  setsid unshare --net --uts --ipc --pid --mount --propagation slave --fork --kill-child --mount-proc \
    "$here/host.sh" "$1" "$2" "$3" </dev/null >"$1/log/$2.log" 2>&1 9>&- &
  unshare=$!
  until pid=$(<"/proc/$unshare/task/$unshare/children") && [[ $pid ]]; do sleep 0.01; done
  echo "${pid% }" >"$1/$2/pid"
  plug "$1" "$2"
  touch "$1/$2/plugged"
}

# The cables of a host, and its addresses. usage: plug DIR HOST
plug() {
  local pid interface host network address
  pid=$(<"$1/$2/pid")
  {
    echo "link set lo up"
    for interface in "${interfaces[@]}"; do
      read -r host network address <<<"$interface"
      [[ $host == "$2" ]] || continue
      ip link add "$2-$network" type veth peer name "$network" netns "$pid" >&2
      ip link set "$2-$network" master "$network" up >&2
      printf '%s\n' "addr add $address/24 dev $network" "link set $network up"
    done
  } | nsenter --net --target "$pid" ip -batch -
}

# usage: await_host DIR HOST
await_host() {
  local tenths
  for ((tenths = 0; tenths < 300; tenths++)); do
    [[ ! -e $1/$2/state ]] || return 0
    [[ -e /proc/$(<"$1/$2/pid") ]] || break
    sleep 0.1
  done
  echo "$2 did not start:" >&2
  cat "$1/log/$2.log" >&2
  return 1
}

# Until Slurm would start a job on every node. usage: await_nodes DIR
await_nodes() {
  local tenths states
  for ((tenths = 0; tenths < 300; tenths++)); do
    states=$(in_host "$1" login timeout 5 sinfo --noheader --partition medium --Format statelong 2>&1 | tr -d ' \n') || true
    [[ $states != idle ]] || return 0
    sleep 0.1
  done
  echo "Slurm's nodes are not idle: $states" >&2
  return 1
}

# As root of a host. usage: in_host DIR HOST CMD…
in_host() {
  local pid
  pid=$(<"$1/$2/pid")
  nsenter --net --uts --ipc --pid --mount --target "$pid" -- "${@:3}"
}

# Pulls a host's cables at the switch, or puts them back. usage: cable HOST [nomaster]
cable() {
  local interface host network address
  for interface in "${interfaces[@]}"; do
    # shellcheck disable=SC2034 # the address is not of interest
    read -r host network address <<<"$interface"
    [[ $host == "$1" ]] || continue
    if [[ ${2:-} ]]; then
      ip link set "$1-$network" nomaster
    else
      ip link set "$1-$network" master "$network"
    fi
  done
}

# Ends a host as a power failure does. usage: kill_host DIR HOST
kill_host() {
  local pid interface host network address
  pid=$(<"$1/$2/pid")
  rm -f "$1/$2/state"
  kill -KILL "$pid"
  while [[ -e /proc/$pid ]]; do sleep 0.02; done
  # The kernel takes its time with the links of a dead namespace.
  for interface in "${interfaces[@]}"; do
    # shellcheck disable=SC2034 # the address is not of interest
    read -r host network address <<<"$interface"
    [[ $host != "$2" ]] || ip link delete "$2-$network" 2>/dev/null || true
  done
}

# usage: mount_small FOLDER SIZE
mount_small() {
  local owner
  owner=$(stat -c 'uid=%u,gid=%g,mode=%a' "$1")
  mount -t tmpfs -o "size=$2,$owner" small "$1"
}
