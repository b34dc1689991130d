# shellcheck shell=bash disable=SC2154 # its variables are those of who sources it
# Sourced: Slurm's configuration. Short waits, so that a test sees in seconds what takes a site minutes.

# usage: write_slurm DIR PROCTRACK PRIVATE_TMP
write_slurm() {
  local etc=$1/cluster/slurm
  mkdir -p "$etc" "$1/login/slurmctld"
  chown slurm: "$1/login/slurmctld"
  dd if=/dev/urandom of="$1/cluster/munge.key" bs=128 count=1 status=none
  chmod 600 "$1/cluster/munge.key"
  cat >"$etc/slurm.conf" <<CONF
ClusterName=world
SlurmctldHost=login(10.77.3.30)
SlurmUser=slurm
AuthType=auth/munge
# After a requeue a job waits until its old credential has expired: 120 s by default.
AuthInfo=cred_expire=5
StateSaveLocation=$1/login/slurmctld
# Its sockets need a short path.
SlurmdSpoolDir=/run/slurmd
SlurmctldPidFile=/run/slurmctld.pid
SlurmdPidFile=/run/slurmd.pid
SlurmctldLogFile=$1/log/slurmctld.log
SlurmdLogFile=$1/log/slurmd-%n.log
ProctrackType=proctrack/$2
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SwitchType=switch/none
MailProg=/bin/true
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
# The nodes have the cores that are said here, whatever the machine has.
SlurmdParameters=config_overrides
SchedulerParameters=sched_interval=1,sched_min_interval=0,bf_interval=1
# A node that does not answer is down after these seconds, and up again as soon as it answers.
SlurmdTimeout=6
MessageTimeout=4
TCPTimeout=1
ReturnToService=2
# From SIGTERM to SIGKILL; at the end of the time limit there is no grace.
KillWait=3
OverTimeLimit=0
JobRequeue=1
NodeName=med0101 NodeAddr=10.77.3.101 CPUs=16 RealMemory=64000 Weight=1 State=UNKNOWN
NodeName=med0102 NodeAddr=10.77.3.102 CPUs=16 RealMemory=64000 Weight=2 State=UNKNOWN
PartitionName=DEFAULT Nodes=ALL DefMemPerCPU=1000 DefaultTime=00:10:00 State=UP
PartitionName=short MaxTime=04:00:00
PartitionName=medium MaxTime=7-00:00:00 Default=YES
CONF
  if [[ $2 == cgroup ]]; then
    printf '%s\n' CgroupPlugin=cgroup/v1 CgroupMountpoint=/run/cgroup >"$etc/cgroup.conf"
  else
    # linuxproc follows the tree of processes and loses those that left it.
    echo "Epilog=/etc/slurm/epilog" >>"$etc/slurm.conf"
    cat >"$etc/epilog" <<'EPILOG'
#!/bin/bash
# Ends what a job left behind, known by the environment that it inherited.
for process in /proc/[0-9]*; do
  [[ $(stat -c %u "$process" 2>/dev/null) == "$SLURM_JOB_UID" ]] || continue
  grep -qsz "^SLURM_JOB_ID=$SLURM_JOB_ID$" "$process/environ" && kill -KILL "${process#/proc/}"
done
exit 0
EPILOG
    chmod 755 "$etc/epilog"
  fi
  if [[ $3 == yes ]]; then
    printf '%s\n' JobContainerType=job_container/tmpfs PrologFlags=Contain >>"$etc/slurm.conf"
    printf '%s\n' AutoBasePath=true BasePath=/run/job_tmp >"$etc/job_container.conf"
  fi
}
