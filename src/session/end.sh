# --- ends a session that did not end when it was asked to ---
case $1 in
  job) scancel -- "$2" 2>&1 | sed 's/^/@refused /' ;;
  process)
    # Another process may have its number by now.
    case $(ps -o args= -p "$2") in
      *"$sessions"/start/*) kill -TERM "$2" ;;
    esac
    ;;
esac
echo @end
