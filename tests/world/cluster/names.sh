# shellcheck shell=bash disable=SC2154 # its variables are those of who sources it
# Sourced: who and where. Five hosts on three networks, as a site with an outer hop has them.
#
#   ws ──ext── jump ──dmz── login ──hpc── med0101, med0102
#
# shellcheck disable=SC2034 # all of it is read by those who source this

hosts=(ws jump login med0101 med0102)
networks=(ext dmz hpc)

# Every interface: host, network, address.
interfaces=(
  "ws ext 10.77.1.10"
  "jump ext 10.77.1.20"
  "jump dmz 10.77.2.20"
  "login dmz 10.77.2.30"
  "login hpc 10.77.3.30"
  "med0101 hpc 10.77.3.101"
  "med0102 hpc 10.77.3.102"
)

# The cluster's hosts share homes and users; workstation and jump host have their own.
in_cluster() { [[ $1 != ws && $1 != jump ]]; }
is_node() { [[ $1 == med* ]]; }
is_host() { [[ " ${hosts[*]} " == *" $1 "* ]]; }

# The users of a host, as NAME:UID. The numbers are beyond those that Debian gives to people and
# daemons, so that no user of the machine owns a test's files.
users_of() {
  case $1 in
    ws) echo ada:52001 ;;
    jump) echo a.lovelace:52101 ;;
    *) echo ada:52001 mallory:52002 ;;
  esac
}

# The names that a host knows: the workstation none behind the jump host, the jump host no node.
names_of() {
  echo 127.0.0.1 localhost
  echo 10.77.1.10 ws
  case $1 in
    ws) echo 10.77.1.20 jump jump.cluster.test ;;
    jump) printf '%s\n' "10.77.1.20 jump" "10.77.2.30 login login.cluster.test" ;;
    *) printf '%s\n' "10.77.2.20 jump" "10.77.3.30 login login.cluster.test" \
      "10.77.3.101 med0101 med0101.cluster.test" "10.77.3.102 med0102 med0102.cluster.test" ;;
  esac
}
