# --- where envspec keeps its things there: the first argument, as a site writes it ---
root=$1
shift
# shellcheck disable=SC2088 # as a site writes it
case $root in
  '') root=${XDG_DATA_HOME:-$HOME/.local/share}/envspec ;;
  '~') root=$HOME ;;
  '~/'*) root=$HOME/${root#??} ;;
  /*) ;;
  # So that none is taken for an option.
  *) root=$PWD/$root ;;
esac
# In a group's root (setgid, and the group may write) everybody has a folder; there
# the group sees which generations sessions use, and nothing else.
# shellcheck disable=SC2034 # of those that follow
if [ -n "$(find "$root/." -prune -perm -2020 2>/dev/null)" ]; then
  group=yes
  sessions=$root/members/$(id -u)/sessions
else
  group=
  sessions=$root/sessions
fi
printf '@root %s\n' "$root"
printf '@sessions %s\n' "$sessions"
