#!/usr/bin/env bash
# slurm_up.sh DIR [NODES]: starts Slurm on this machine: a controller and as many nodes (2 by default), on loopback, as
# root, without systemd, cgroups and accounting. `. DIR/env` points sbatch, squeue and the others to it; down.sh DIR
# ends it. Several can run at once, each in its folder. CPUS (4) and MEMORY (8000, in MiB) are those of a node.
# Partitions: `main` without a limit of time, and `short` with one of 5 minutes.
set -eEuo pipefail
. "$(dirname "$0")/common.sh"
use_folder "${1:-}" slurmctld slurmd munged sinfo
NODES=${2:-2} CPUS=${CPUS:-4} MEMORY=${MEMORY:-8000}
HOST=$(hostname -s)
export SLURM_CONF=$DIR/slurm.conf
# Each start makes a new cluster, without the jobs of the last one.
rm -rf "$DIR/state" "$DIR"/run/spool.*
mkdir -p "$DIR/state"

# Its own key and socket, so that it needs neither a user of its own nor /etc.
[ -f "$DIR/munge.key" ] || head -c 1024 /dev/urandom >"$DIR/munge.key"
chmod 400 "$DIR/munge.key"
# munged refuses a folder that others may write to.
chmod 755 "$DIR" "$DIR/run"

cat >"$SLURM_CONF" <<CONF
ClusterName=$(basename "$DIR" | tr -cd 'a-z0-9')x
SlurmctldHost=$HOST(127.0.0.1)
SlurmctldPort=$(free_port)
CommunicationParameters=NoCtldInAddrAny,NoInAddrAny
AuthType=auth/munge
AuthInfo=socket=$DIR/run/munge.sock
CredType=cred/munge
SlurmUser=root
SlurmdUser=root
StateSaveLocation=$DIR/state
SlurmdSpoolDir=$DIR/run/spool.%n
SlurmctldPidFile=$DIR/run/slurmctld.pid
SlurmdPidFile=$DIR/run/slurmd.%n.pid
SlurmctldLogFile=$DIR/log/slurmctld.log
SlurmdLogFile=$DIR/log/slurmd.%n.log
# Without cgroups and a database.
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
JobCompType=jobcomp/none
AccountingStorageType=accounting_storage/none
SwitchType=switch/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
# The nodes are larger than what slurmd finds.
SlurmdParameters=config_overrides
ReturnToService=2
# Jobs start and are given up within seconds; one that is to end has the usual half minute for it.
SchedulerType=sched/backfill
SchedulerParameters=sched_interval=1,bf_interval=1,batch_sched_delay=0,defer_batch
KillWait=30
MinJobAge=300
SlurmctldTimeout=30
SlurmdTimeout=30
InactiveLimit=0
CONF
for i in $(seq "$NODES"); do
  echo "NodeName=n$i NodeHostname=$HOST NodeAddr=127.0.0.1 Port=$(free_port) CPUs=$CPUS RealMemory=$MEMORY State=UNKNOWN"
done >>"$SLURM_CONF"
cat >>"$SLURM_CONF" <<CONF
PartitionName=main Nodes=n[1-$NODES] Default=YES LLN=YES MaxTime=INFINITE State=UP
PartitionName=short Nodes=n[1-$NODES] LLN=YES MaxTime=5 State=UP
CONF

start munged munged --force --foreground --key-file="$DIR/munge.key" --socket="$DIR/run/munge.sock" \
  --pid-file="$DIR/run/munged.pid" --log-file="$DIR/log/munged.log" --seed-file="$DIR/run/munge.seed"
wait_for munged 10 test -S "$DIR/run/munge.sock"
start slurmctld slurmctld -D -f "$SLURM_CONF"
for i in $(seq "$NODES"); do
  mkdir -p "$DIR/run/spool.n$i"
  start "slurmd.n$i" slurmd -D -N "n$i" -f "$SLURM_CONF"
done
all_idle() { [ "$(sinfo -h -p main -o '%t %D')" = "idle $NODES" ]; }
wait_for slurmctld 30 all_idle
echo "export SLURM_CONF=$SLURM_CONF" >"$DIR/env"
echo "Slurm with $NODES nodes is up; '. $DIR/env' points its commands here" >&2
