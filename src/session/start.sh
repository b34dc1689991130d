# --- puts the start script, which is the input, into its place, and starts it ---
scheduler=$1
name=$2
umask 077
if [ -n "$group" ]; then
  # Everybody may add a folder there, and nobody touch another's.
  members=$root/members
  [ -d "$members" ] || (umask 007 && mkdir -- "$members") || exit
  if [ -O "$members" ]; then chmod +t "$members" || exit; fi
  mkdir -p -- "${sessions%/*}" || exit
  # Another member may have put a link or a folder of theirs there.
  if [ -L "${sessions%/*}" ] || [ ! -O "${sessions%/*}" ]; then
    echo "${sessions%/*} is not yours, or a link: nothing is written there" >&2
    exit 1
  fi
  mkdir -p -- "$sessions/start" || exit
  chmod 750 "${sessions%/*}" "$sessions" "$sessions/start" || exit
else
  mkdir -p -- "$sessions/start" || exit
  chmod 700 "$sessions" "$sessions/start" || exit
fi
script=$sessions/start/$name.sh
# Of launches at the same time one gets the name: it is its claim's until the
# scheduler knows the job. One that was cut off in between loses it.
claim=$script.claim
find "$claim" -prune -mmin +5 -exec rmdir {} \; 2>/dev/null
taken() {
  echo @taken
  echo @end
  exit
}
claimed=
# More than once: another's may go between the refusal and the look at it.
for _ in 1 2 3; do
  if said=$(mkdir -- "$claim" 2>&1); then
    claimed=yes
    break
  fi
  [ ! -d "$claim" ] || taken
done
if [ -z "$claimed" ]; then
  printf '%s\n' "$said" >&2
  exit 1
fi
trap 'rmdir -- "$claim"' EXIT
trap 'exit 1' HUP INT TERM
case $scheduler in
  slurm) [ -z "$(squeue --me --noheader --name="$name" --format=%A 2>/dev/null)" ] || taken ;;
  none) case $(ps -u "$(id -u)" -o args=) in *"bash $script"*) taken ;; esac ;;
esac
# Half a script is never started: the disk may be full.
if ! cat >"$script.new.$$" || ! chmod "u+rw${group:+,g+r}" "$script.new.$$" || ! mv -f -- "$script.new.$$" "$script"; then
  rm -f -- "$script.new.$$"
  exit 1
fi
case $scheduler in
  slurm)
    if answer=$(sbatch --parsable --output="$sessions/%j.log" "$script" 2>&1); then
      printf '%s\n' "$answer" | sed -n 's/^\([0-9][0-9]*\).*/@job \1/p'
    else
      printf '%s\n' "$answer" | sed 's/^/@refused /'
    fi
    ;;
  none)
    log=$sessions/$name.log
    # Of no terminal and no group of ours: Ctrl-C here must not end it.
    if command -v setsid >/dev/null 2>&1; then
      setsid bash "$script" </dev/null >"$log" 2>&1 &
    else
      nohup bash "$script" </dev/null >"$log" 2>&1 &
    fi
    printf '@process %s\n' "$!"
    ;;
esac
echo @end
