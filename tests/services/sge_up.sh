#!/usr/bin/env bash
# sge_up.sh DIR [SLOTS]: starts Grid Engine on this machine: a master and one node, with a queue `main.q` of SLOTS (4)
# slots and a parallel environment `smp`, as root, without systemd. `. DIR/env` points qsub, qstat and the others to it;
# down.sh DIR ends it. Several can run at once, each in its folder.
set -eEuo pipefail
. "$(dirname "$0")/common.sh"
use_folder "${1:-}" sge_qmaster sge_execd qconf qstat
SLOTS=${2:-4}
HOST=$(hostname)
SHARED=/usr/share/gridengine PROGRAMS=/usr/lib/gridengine
rm -rf "$DIR/root" "$DIR/spool"
mkdir -p "$DIR/root/default/common" "$DIR/spool/master" "$DIR/spool/node" "$DIR/spool/db"
for name in bin lib util utilbin; do ln -s "/var/lib/gridengine/$name" "$DIR/root/$name"; done
cat >"$DIR/env" <<ENV
export SGE_ROOT=$DIR/root
export SGE_CELL=default
export SGE_QMASTER_PORT=$(free_port)
export SGE_EXECD_PORT=$(free_port)
ENV
. "$DIR/env"

cat >"$SGE_ROOT/default/common/bootstrap" <<CONF
admin_user none
default_domain none
ignore_fqdn true
spooling_method berkeleydb
spooling_lib libspoolb
spooling_params $DIR/spool/db
binary_path $PROGRAMS
qmaster_spool_dir $DIR/spool/master
security_mode none
listener_threads 2
worker_threads 2
scheduler_threads 1
CONF
echo "$HOST" >"$SGE_ROOT/default/common/act_qmaster"
# The address of this machine may be loopback's.
echo "$HOST localhost" >"$SGE_ROOT/default/common/host_aliases"
{
  "$PROGRAMS/spoolinit" berkeleydb libspoolb "$DIR/spool/db" init
  # Root's jobs run too.
  sed "s#^execd_spool_dir .*#execd_spool_dir $DIR/spool/node#; s#^min_\([ug]\)id .*#min_\1id 0#" \
    "$SHARED/default-configuration" >"$DIR/configuration"
  "$PROGRAMS/spooldefaults" configuration "$DIR/configuration"
  "$PROGRAMS/spooldefaults" complexes "$SHARED/util/resources/centry"
  "$PROGRAMS/spooldefaults" usersets "$SHARED/util/resources/usersets"
  "$PROGRAMS/spooldefaults" managers root
} >"$DIR/log/spool.out" 2>&1

# They stay in the foreground.
export SGE_ND=1
start sge_qmaster "$PROGRAMS/sge_qmaster"
wait_for sge_qmaster 30 qconf -sh
qconf -ah "$HOST" >>"$DIR/log/qconf.out" 2>&1 || true
qconf -as "$HOST" >>"$DIR/log/qconf.out" 2>&1
start sge_execd "$PROGRAMS/sge_execd"
knows_node() { qhost -h "$HOST" | grep -q "^$HOST .*lx-"; }
wait_for sge_execd 30 knows_node

cat >"$DIR/environment" <<CONF
pe_name smp
slots 999
user_lists NONE
xuser_lists NONE
start_proc_args NONE
stop_proc_args NONE
allocation_rule \$pe_slots
control_slaves FALSE
job_is_first_task TRUE
urgency_slots min
qsort_args NONE
accounting_summary FALSE
CONF
{
  echo "qname main.q"
  echo "hostlist $HOST"
  echo "slots $SLOTS"
  echo "pe_list smp"
  echo "shell /bin/sh"
  echo "shell_start_mode unix_behavior"
  printf '%s\n' "seq_no 0" "nsuspend 1" "suspend_interval 00:05:00" "priority 0" "min_cpu_interval 00:05:00" \
    "processors UNDEFINED" "qtype BATCH INTERACTIVE" "rerun FALSE" "tmpdir /tmp" "notify 00:00:60" "initial_state default"
  for name in load_thresholds suspend_thresholds ckpt_list prolog epilog starter_method suspend_method resume_method \
    terminate_method owner_list user_lists xuser_lists subordinate_list complex_values projects xprojects calendar; do
    echo "$name NONE"
  done
  for limit in rt cpu fsize data stack core rss vmem; do printf '%s\n' "s_$limit INFINITY" "h_$limit INFINITY"; done
} >"$DIR/queue"
# Jobs start and are seen to end within seconds.
qconf -ssconf | sed 's/^schedule_interval .*/schedule_interval 0:0:1/' >"$DIR/scheduling"
for option in -Ap:environment -Aq:queue -Msconf:scheduling; do
  qconf "${option%%:*}" "$DIR/${option##*:}" >>"$DIR/log/qconf.out" 2>&1 || give_up "$option was refused" qconf
done
echo "Grid Engine is up; '. $DIR/env' points its commands here" >&2
