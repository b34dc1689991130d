# --- which of its arguments are there: paths, and programs of the PATH ---
for each; do
  case $each in
    */) [ -d "$each" ] || continue ;;
    */*) [ -x "$each" ] || continue ;;
    *) command -v -- "$each" >/dev/null 2>&1 || continue ;;
  esac
  printf '@there %s\n' "$each"
done
echo @end
