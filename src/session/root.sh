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
# shellcheck disable=SC2034 # of those that follow
sessions=$root/sessions
printf '@root %s\n' "$root"
