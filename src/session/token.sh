# --- the token of a session: over ssh, into no argument, no log and no file ---
printf '@token %s\n' "$(cat "$sessions/$1/token")"
echo @end
