# --- how a session ended: the scheduler's word, and the end of the log ---
log=$sessions/$1.log
if [ "$2" = slurm ]; then
  state=$(squeue --noheader --states=all --jobs="$1" --format=%T 2>/dev/null) || state=
  if [ -n "$state" ]; then printf '@state %s\n' "$state"; fi
fi
if [ -s "$log" ]; then
  printf '@log %s\n' "$log"
  tail -n 15 -- "$log" | sed 's/^/@line /'
  # The last line may have no end: a killed server's.
  echo
fi
# A full disk takes no log either: what a write says now was the reason then.
if ! said=$( (head -c 65536 /dev/urandom >"$sessions/.try.$$") 2>&1); then
  printf '%s\n' "$said" | sed 's/^/@line /'
fi
rm -f -- "$sessions/.try.$$"
echo @end
