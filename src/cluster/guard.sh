# Waits until its standard input ends, which is when envspec has ended, however
# that came; then closes the connections of its folder by ssh's own handle.
trap '' INT QUIT HUP TERM
cat >/dev/null
for socket in "$1"/*.control; do
  [ -S "$socket" ] && ssh -F /dev/null -o ControlPath="$socket" -O exit envspec
done
rm -rf -- "$1"
