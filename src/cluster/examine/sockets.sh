# --- sockets on which something listens and that the user may connect to ---
awk '$4 == "00010000" && $8 ~ /^\/[A-Za-z0-9_.\/-]+$/ { print $8 }' /proc/net/unix 2>/dev/null |
  while read -r path; do
    if [ -S "$path" ] && [ -w "$path" ]; then printf '@socket %s\n' "$path"; fi
  done | head -n 3
echo @end
