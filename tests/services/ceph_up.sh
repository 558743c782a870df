#!/usr/bin/env bash
# ceph_up.sh DIR [PORT]: starts an S3 gateway on 127.0.0.1:PORT (any free port by default): Ceph's RADOS gateway on a
# monitor and an object store in memory, as root, without systemd. `. DIR/env` sets the AWS variables of its user;
# down.sh DIR ends it. Several can run at once, each in its folder. STORE=bluestore keeps objects on disk.
set -eEuo pipefail
. "$(dirname "$0")/common.sh"
use_folder "${1:-}" ceph-mon ceph-osd radosgw radosgw-admin ceph ceph-authtool monmaptool
PORT=${2:-$(free_port)} STORE=${STORE:-memstore}
FSID=$(cat /proc/sys/kernel/random/uuid)
MONITORS="v2:127.0.0.1:$(free_port),v1:127.0.0.1:$(free_port)"
KEYS=$DIR/keyring
export CEPH_CONF=$DIR/ceph.conf
# Each start makes a new cluster: the objects of the last one were in memory.
rm -rf "$DIR/mon" "$DIR/osd" "$DIR/rgw" "$KEYS"
mkdir -p "$DIR/mon" "$DIR/osd" "$DIR/rgw"

cat >"$CEPH_CONF" <<CONF
[global]
fsid = $FSID
mon_host = [$MONITORS]
public_addr = 127.0.0.1
cluster_addr = 127.0.0.1
ms_bind_ipv6 = false
keyring = $KEYS
auth_allow_insecure_global_id_reclaim = false
# One copy of each object.
osd_pool_default_size = 1
osd_pool_default_min_size = 1
mon_allow_pool_size_one = true
mon_warn_on_pool_no_redundancy = false
osd_crush_chooseleaf_type = 0
# Few placement groups: pools are made in seconds.
osd_pool_default_pg_autoscale_mode = off
osd_pool_default_pg_num = 4
rgw_rados_pool_pg_num_min = 1
osd_objectstore = $STORE
memstore_device_bytes = 8589934592
bluestore_block_size = 8589934592
# Names that any file system can hold.
osd_max_object_name_len = 256
osd_max_object_namespace_len = 64
run_dir = $DIR/run
log_file = $DIR/log/\$name.log
admin_socket = $DIR/run/\$name.asok
pid_file =
mon_data = $DIR/mon
osd_data = $DIR/osd
rgw_data = $DIR/rgw
# A disk that is nearly full is no reason to stop.
mon_data_avail_crit = 1
mon_data_avail_warn = 1
rgw_frontends = beast endpoint=127.0.0.1:$PORT
rgw_enable_usage_log = false
rgw_thread_pool_size = 32
debug_ms = 0/0
# Decisions of one monitor need not wait for others.
paxos_propose_interval = 0.05
paxos_min_wait = 0.02
mon_tick_interval = 1
CONF

monmaptool --create --clobber --fsid "$FSID" --addv a "[$MONITORS]" "$DIR/monmap" >/dev/null
ceph-authtool --create-keyring "$KEYS" --gen-key -n mon. --cap mon 'allow *' >/dev/null
ceph-authtool "$KEYS" --gen-key -n client.admin --cap mon 'allow *' --cap osd 'allow *' --cap mgr 'allow *' >/dev/null
ceph-authtool "$KEYS" --gen-key -n client.rgw --cap mon 'allow rw' --cap osd 'allow rwx' >/dev/null
chmod 600 "$KEYS"
ceph-mon -c "$CEPH_CONF" --mkfs -i a --monmap "$DIR/monmap" --keyring "$KEYS"
start mon.a ceph-mon -c "$CEPH_CONF" -i a -f

osd=$(cat /proc/sys/kernel/random/uuid)
secret=$(ceph-authtool --gen-print-key)
new_osd() { echo "{\"cephx_secret\": \"$secret\"}" | timeout 10 ceph -c "$CEPH_CONF" osd new "$osd" -i -; }
wait_for mon.a 60 new_osd
ceph-authtool "$KEYS" -n osd.0 --add-key "$secret" >/dev/null
ceph-osd -c "$CEPH_CONF" -i 0 --mkfs --osd-uuid "$osd" >"$DIR/log/osd.0.mkfs.out" 2>&1
start osd.0 ceph-osd -c "$CEPH_CONF" -i 0 -f
osd_up() { timeout 10 ceph -c "$CEPH_CONF" osd stat | grep -q '1 up'; }
wait_for osd.0 60 osd_up

start client.rgw radosgw -c "$CEPH_CONF" -n client.rgw -f
listens() { (exec 3<>"/dev/tcp/127.0.0.1/$PORT"); }
wait_for client.rgw 60 listens
key=test secret=$(head -c 18 /dev/urandom | base64 | tr -d '+/=')
radosgw-admin -c "$CEPH_CONF" user create --uid=test --display-name=test --access-key="$key" --secret-key="$secret" \
  >"$DIR/log/radosgw-admin.out" 2>&1 || give_up "no user was made" radosgw-admin

# Older gateways know no checksums in trailers.
(umask 077 && cat >"$DIR/env" <<ENV
export AWS_ENDPOINT_URL=http://127.0.0.1:$PORT
export AWS_ACCESS_KEY_ID=$key
export AWS_SECRET_ACCESS_KEY=$secret
export AWS_DEFAULT_REGION=us-east-1
export AWS_REQUEST_CHECKSUM_CALCULATION=when_required
export AWS_RESPONSE_CHECKSUM_VALIDATION=when_required
ENV
)
rm -f "$DIR/log/radosgw-admin.out"
echo "S3 gateway is up at http://127.0.0.1:$PORT; '. $DIR/env' sets its user's AWS variables" >&2
