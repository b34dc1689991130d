# --- all sessions of the user: jobs, and the records of servers that are ready ---
columns=$1
process=$2
scheduler=$3
# The folders first, then the scheduler: one that comes after the question is of a
# job that the answer may not know.
set -- "$sessions"/*/token
host=$(uname -n)
printf '@host %s\n' "$host"
printf '@user %s\n' "$(id -un)"
printf '@now %s\n' "$(date +%s)"
# A process that was started without a scheduler, and may not have come so far.
if [ -n "$process" ]; then
  if kill -0 "$process" 2>/dev/null; then echo '@started alive'; else echo '@started gone'; fi
fi
jobs=
if [ "$scheduler" = slurm ]; then
  if jobs=$(squeue --me --noheader --format="$columns" 2>&1); then
    printf '%s\n' "$jobs" | sed -n 's/^\([0-9]\)/@job \1/p'
  else
    scheduler=silent
    printf '%s\n' "$jobs" | sed 's/^/@trouble /'
  fi
fi
# A job that this Slurm does not know may be another cluster's, of the same home:
# its own scheduler alone knows whether it runs. The name of this one is asked for
# once, and only if there is such a job.
here=
of_which_cluster() {
  read -r cluster <"$private/cluster" || return
  if [ -z "$here" ]; then
    here=$(timeout 10 scontrol show config 2>/dev/null | sed -n 's/^ClusterName *= *//p')
    if [ -z "$here" ]; then
      here='?'
      echo '@trouble scontrol does not say which cluster this is'
    fi
  fi
  case $here in
    "$cluster") ;;
    '?') state=unknown ;;
    *) state=cluster:$cluster ;;
  esac
}
for token; do
  private=${token%/*}
  key=${private##*/}
  # Only a folder that is a session's own, and not the link to the newest one.
  { [ ! -L "$private" ] && [ -O "$token" ]; } || continue
  state=unknown
  job=${key%-*}
  case $job in
    *[!0-9]*)
      # A server without a scheduler: its script is a process of one machine.
      script=
      case $job in
        "${host%%.*}".*)
          state=gone
          pid=${job##*.}
          case $pid in '' | *[!0-9]*) continue ;; esac
          script=$(ps -o args= -p "$pid" 2>/dev/null)
          case $script in
            */sessions/start/*) state=alive ;;
          esac
          if [ "$state" = alive ] && [ ! -e "$private/session.json" ]; then
            # By the name of its script, which for a variant ends otherwise.
            script=${script##*/}
            script=${script%.sh}
            script=${script%+old-ssh}
            printf '@starting %s %s\n' "$pid" "${script%+password}"
          fi
          ;;
      esac
      ;;
    *)
      if [ "$scheduler" = slurm ]; then
        state=gone
        case "
$jobs" in *"
$job|"*) state=alive ;; esac
        # Records of before that was written have none.
        if [ "$state" = gone ] && [ -r "$private/cluster" ]; then of_which_cluster; fi
      fi
      ;;
  esac
  if [ "$state" = gone ]; then
    # One that ended in order since the look at its token: its folder goes before it.
    [ -e "$private" ] || continue
    # Of a server that was killed before it could clean up.
    rm -rf -- "$private"
    for pointer in "$sessions"/envspec-*; do
      if [ -L "$pointer" ] && [ "$(readlink -- "$pointer")" = "$key" ]; then rm -f -- "$pointer"; fi
    done
    printf '@cleaned %s\n' "$key"
    continue
  fi
  # There once the server was proven to be closed to strangers and open to its owner.
  if [ -r "$private/session.json" ]; then
    printf '@record %s %s\n' "$state" "$(cat "$private/session.json")"
  fi
done
echo @end
