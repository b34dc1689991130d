# --- ends a session that did not end when it was asked to ---
case $1 in
  job) scancel -- "$2" 2>&1 | sed 's/^/@refused /' ;;
  process) kill -TERM "$2" 2>&1 | sed 's/^/@refused /' ;;
esac
echo @end
