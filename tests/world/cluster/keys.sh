# shellcheck shell=bash disable=SC2154 # its variables are those of who sources it
# Sourced: host keys, ada's keys, and who accepts which.
#
# | key in ada's ~/.ssh on ws | jump | login | nodes |                                            |
# |---------------------------|------|-------|-------|--------------------------------------------|
# | id_ed25519                | yes  | yes   | yes   | all is well                                |
# | id_registered             | yes  | yes   | no    | known to the site's registry of keys alone |
# | id_home                   | no   | yes   | yes   | in the cluster home's authorized_keys alone|
#
# A login node reads the site's registry and the user's authorized_keys, a compute node only the
# latter. In the cluster home there is one more id_ed25519, for the way from login to the nodes.

# usage: write_sshd DIR HOST
write_sshd() {
  local ssh=$1/$2/ssh registry=""
  mkdir -p "$ssh"
  ssh-keygen -q -t ed25519 -N '' -C "$2" -f "$ssh/ssh_host_ed25519_key" </dev/null
  [[ $2 != login ]] || registry="/etc/ssh/registry/%u"
  cat >"$ssh/sshd_config" <<CONF
HostKey /etc/ssh/ssh_host_ed25519_key
PidFile /run/sshd.pid
AuthorizedKeysFile .ssh/authorized_keys $registry
# The accounts have none; but a refused key meets a prompt, as it does at a site.
PasswordAuthentication yes
KbdInteractiveAuthentication no
UsePAM no
PrintMotd no
LogLevel VERBOSE
Subsystem sftp internal-sftp
CONF
}

# usage: write_keys DIR, after write_sshd for every host and write_homes
write_keys() {
  local ws=$1/ws/home/ada/.ssh jump=$1/jump/home/a.lovelace/.ssh cluster=$1/cluster/home/ada/.ssh
  local registry=$1/login/ssh/registry host folder
  mkdir -p "$ws" "$jump" "$cluster" "$registry"
  for key in id_ed25519 id_registered id_home; do
    ssh-keygen -q -t ed25519 -N '' -C "ada@ws $key" -f "$ws/$key" </dev/null
  done
  ssh-keygen -q -t ed25519 -N '' -C "ada@login" -f "$cluster/id_ed25519" </dev/null
  cat "$ws"/{id_ed25519,id_registered}.pub | tee "$jump/authorized_keys" >"$registry/ada"
  cat "$ws"/{id_ed25519,id_home}.pub "$cluster/id_ed25519.pub" >"$cluster/authorized_keys"
  for host in jump login med0101 med0102; do
    printf '%s ' "$host,$host.cluster.test"
    cut -d' ' -f1,2 "$1/$host/ssh/ssh_host_ed25519_key.pub"
  done | tee "$ws/known_hosts" >"$cluster/known_hosts"
  cat >"$ws/config" <<CONF
Host jump
  User a.lovelace
Host login
  ProxyJump jump
Host med*
  ProxyJump login
CONF
  for folder in "$ws" "$jump" "$cluster"; do
    chmod 700 "$folder"
    chmod 600 "$folder"/*
    chown -R --reference="${folder%/.ssh}" "$folder"
  done
}
