# --- an sshd of the user's own, for one key, to be run inside the session's job ---
umask 077
# A folder for each connection; none if the session has ended meanwhile.
bridge=$(mktemp -d "$sessions/$1/bridge.XXXXXXXX") || exit
# A file whole, or none: the disk may be full.
put() {
  if ! cat >"$bridge/$1.$$" || ! mv -f -- "$bridge/$1.$$" "$bridge/$1"; then
    rm -f -- "$bridge/$1.$$"
    exit 1
  fi
}
put authorized_keys
if [ ! -s "$bridge/host_key" ]; then
  ssh-keygen -q -t ed25519 -N '' -C envspec -f "$bridge/new.$$" </dev/null
  mv -f -- "$bridge/new.$$.pub" "$bridge/host_key.pub"
  mv -f -- "$bridge/new.$$" "$bridge/host_key"
fi
# Forwards and does nothing else. The path of a root holds neither `"` nor `%`.
put sshd_config <<END_OF_CONFIG
HostKey "$bridge/host_key"
AuthorizedKeysFile "$bridge/authorized_keys"
AuthenticationMethods publickey
PasswordAuthentication no
KbdInteractiveAuthentication no
UsePAM no
StrictModes no
PidFile none
AllowTcpForwarding local
AllowStreamLocalForwarding local
AllowAgentForwarding no
X11Forwarding no
PermitTTY no
PermitTunnel no
ForceCommand false
ClientAliveInterval 15
LogLevel ERROR
END_OF_CONFIG
put run <<'END_OF_RUN'
#!/bin/sh
PATH=$PATH:/usr/sbin:/sbin
sshd=$(command -v sshd) || {
  echo "there is no sshd on $(uname -n)" >&2
  exit 127
}
exec "$sshd" -i -f "${0%/*}/sshd_config"
END_OF_RUN
printf '@host_key %s\n' "$(cut -d' ' -f1,2 "$bridge/host_key.pub")"
printf '@run %s\n' "$bridge/run"
echo @end
