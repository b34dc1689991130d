# shellcheck shell=bash disable=SC2154 # its variables are those of who sources it
# Sourced: the users of each host, in files that are mounted over /etc/passwd and its kin inside the
# host. The machine's own are read and never written.

# usage: write_users DIR HOST
write_users() {
  local etc=$1/$2/etc entry user uid
  mkdir -p "$etc"
  # root and the daemons' users, with the numbers that the machine's packages gave them.
  grep -E '^(root|daemon|nobody|sshd|munge|slurm):' /etc/passwd >"$etc/passwd"
  grep -E '^(root|daemon|tty|nogroup|munge|slurm):' /etc/group >"$etc/group"
  for entry in $(users_of "$2"); do
    user=${entry%:*} uid=${entry#*:}
    echo "$user:x:$uid:$uid::/home/$user:/bin/bash" >>"$etc/passwd"
    echo "$user:x:$uid:" >>"$etc/group"
  done
  # `*`: no password opens it. `!` would mean locked, and sshd refuses even the keys of a locked
  # account when it does without PAM.
  sed -E 's/^([^:]+):.*/\1:*:19000:0:99999:7:::/' "$etc/passwd" >"$etc/shadow"
  chmod 640 "$etc/shadow"
}

# The folder that a host mounts as /home. usage: home_of DIR HOST
home_of() { if in_cluster "$2"; then echo "$1/cluster/home"; else echo "$1/$2/home"; fi; }

# usage: write_homes DIR
write_homes() {
  local host entry home
  for host in ws jump login; do
    for entry in $(users_of "$host"); do
      home=$(home_of "$1" "$host")/${entry%:*}
      mkdir -p "$home"
      chmod 700 "$home"
      chown "${entry#*:}:${entry#*:}" "$home"
    done
  done
}
