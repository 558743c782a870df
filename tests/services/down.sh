#!/usr/bin/env bash
# down.sh DIR: ends what slurm_up.sh, ceph_up.sh or ssh_up.sh started in a folder, and the jobs that run there; nothing
# else, and no error if nothing runs any more. Files of the folder stay.
set -euo pipefail
. "$(dirname "$0")/common.sh"
[ -n "${1:-}" ] || fail "expected a folder as the first argument"
[ -d "$1" ] || exit 0
DIR=$(cd "$1" && pwd)
# Asked while there is somebody to ask: a job that is cancelled cleans up.
if [ -f "$DIR/slurm.conf" ]; then
  SLURM_CONF=$DIR/slurm.conf timeout 3 scancel --state=PENDING,RUNNING,SUSPENDED 2>/dev/null || true
fi
end_all "$DIR"
