# --- the end of a session's log ---
log=$sessions/$1.log
printf '@log %s\n' "$log"
if [ -r "$log" ]; then tail -n 15 -- "$log" | sed 's/^/@line /'; fi
# The last line may have no end: a killed server's.
echo
echo @end
