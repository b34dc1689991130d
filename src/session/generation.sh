# --- the current generation of an environment, and what it was made from ---
link=$root/envs/$1
prefix=$(cd "$link" 2>/dev/null && pwd -P) || {
  echo @missing
  echo @end
  exit
}
printf '@prefix %s\n' "$prefix"
printf '@user %s\n' "$(id -un)"
# A last line may have no end.
sed 's/^/@receipt /' "$prefix/.envspec/receipt.json" && echo
sed 's/^/@spec /' "$prefix/.envspec/spec.yaml" && echo
for server in lab notebook server; do
  if [ -x "$prefix/bin/jupyter-$server" ]; then printf '@server %s\n' "$server"; fi
done
echo @end
