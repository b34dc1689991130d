# --- what a place is like: the scheduler, the root, the home, the kernelspecs; nothing is changed ---
root=$1 scheduler=$2
# shellcheck disable=SC2088 # as a site writes it
case $root in
  '') root=${XDG_DATA_HOME:-$HOME/.local/share}/envspec ;;
  '~') root=$HOME ;;
  '~/'*) root=$HOME/${root#??} ;;
  /*) ;;
  *) root=$PWD/$root ;;
esac
# A file system that hangs must not hold up the rest.
limited() {
  if command -v timeout >/dev/null 2>&1; then timeout 8 "$@"; else "$@"; fi
}
if [ "$scheduler" = slurm ]; then
  if ! command -v squeue >/dev/null 2>&1; then
    echo @missing
  elif answer=$(limited squeue --me --noheader --format='%T|%N|%j' 2>&1); then
    echo @answers
    printf '%s\n' "$answer" | sed -n 's/^RUNNING|\(.*\)|envspec-.*/@mine \1/p'
    limited sinfo --noheader --Node --format='%N|%T' 2>/dev/null |
      sed -n 's/^\(.*\)|\(idle\|mixed\|allocated\)$/@up \1/p' | head -n 20
  else
    code=$?
    [ $code != 124 ] || answer='no answer within 8 s'
    printf '%s\n' "${answer:-squeue ended with $code}" | head -n 3 | sed 's/^/@trouble /'
  fi
fi
look() {
  there=$2
  while [ ! -e "$there" ] && [ "$there" != / ]; do there=$(dirname -- "$there"); done
  printf '@path %s %s\n' "$1" "$2"
  limited df -Pk -- "$there" 2>/dev/null | awk -v as="$1" 'NR == 2 { print "@space", as, $4 }'
  limited df -Pi -- "$there" 2>/dev/null | awk -v as="$1" 'NR == 2 { print "@files", as, $2, $4 }'
  kind=$(limited stat -f -c %T -- "$there" 2>/dev/null) ||
    kind=$(limited df -PT -- "$there" 2>/dev/null | awk 'NR == 2 { print $2 }')
  printf '@kind %s %s\n' "$1" "$kind"
  if [ -w "$there" ]; then echo "@writable $1"; fi
  if [ "$kind" = lustre ] && command -v lfs >/dev/null 2>&1; then
    limited lfs quota -q -u "$(id -un)" "$there" 2>/dev/null | tr '\n' ' ' | sed "s|^|@limits |"
    echo
  fi
}
look root "$root"
look home "$HOME"
# In nine columns: without -p an empty grace time is no column.
if command -v quota >/dev/null 2>&1; then
  limited quota -wp 2>/dev/null | sed -n '3,$s/^ */@limits /p'
fi
case $(uname) in
  Darwin) data=$HOME/Library/Jupyter ;;
  *) data=${XDG_DATA_HOME:-$HOME/.local/share}/jupyter ;;
esac
for file in "${JUPYTER_DATA_DIR:-$data}"/kernels/*/kernel.json; do
  [ -r "$file" ] || continue
  name=${file%/kernel.json}
  printf '@kernel %s %s\n' "${name##*/}" "$(tr '\n\r' '  ' <"$file")"
done
echo @end
