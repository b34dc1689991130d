# --- puts the start script, which is the input, into its place, and starts it ---
scheduler=$1
name=$2
umask 077
mkdir -p -- "$sessions/start"
chmod 700 "$sessions" "$sessions/start"
script=$sessions/start/$name.sh
cat >"$script.new.$$"
mv -f -- "$script.new.$$" "$script"
case $scheduler in
  slurm)
    if answer=$(sbatch --parsable --output="$sessions/%j.log" "$script" 2>&1); then
      printf '%s\n' "$answer" | sed -n 's/^\([0-9][0-9]*\).*/@job \1/p'
    else
      printf '%s\n' "$answer" | sed 's/^/@refused /'
    fi
    ;;
  none)
    log=$sessions/$name.log
    # Of no terminal and no group of ours: Ctrl-C here must not end it.
    if command -v setsid >/dev/null 2>&1; then
      setsid bash "$script" </dev/null >"$log" 2>&1 &
    else
      nohup bash "$script" </dev/null >"$log" 2>&1 &
    fi
    printf '@process %s\n' "$!"
    ;;
esac
echo @end
