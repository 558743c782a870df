# Sourced by the scripts of this folder: daemons of one folder, without systemd. Progress goes to standard error.

fail() { echo "$(basename "$0"): $*" >&2; exit 1; }

# use_folder DIR COMMAND…: an empty folder, or one whose daemons have ended; root and the commands must be there.
use_folder() {
  [ -n "${1:-}" ] || fail "expected a folder as the first argument"
  [ "$(id -u)" = 0 ] || fail "needs root"
  DIR=$(mkdir -p "$1" && cd "$1" && pwd)
  local name
  for name in "${@:2}"; do
    command -v "$name" >/dev/null || fail "$name: not found; tests/services/install.sh installs it"
  done
  [ -z "$(ls -A "$DIR")" ] || [ -f "$DIR/daemons" ] || fail "$DIR: is not empty, and not a folder of these scripts"
  [ -z "$(pids_of "$DIR")" ] || fail "$DIR: daemons run already; tests/services/down.sh $DIR ends them"
  mkdir -p "$DIR/log" "$DIR/run"
  : >"$DIR/daemons"
  # A start that fails leaves nothing behind.
  trap 'end_all "$DIR"' ERR INT TERM
}

# free_port: one that nobody listens on, below those that outgoing connections are given.
free_port() {
  local port
  while true; do
    port=$((20000 + (RANDOM * 32768 + RANDOM) % 10000))
    (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null || { echo "$port"; return; }
  done
}

# start NAME COMMAND…: a daemon in a session of its own, with its output in DIR/log/NAME.out.
start() {
  setsid "${@:2}" >"$DIR/log/$1.out" 2>&1 </dev/null &
  echo "$1 $!" >>"$DIR/daemons"
}

# wait_for NAME SECONDS COMMAND…: until the command succeeds; NAME is the daemon whose log tells why it does not.
wait_for() {
  local end=$((SECONDS + $2)) name pid
  until "${@:3}" >/dev/null 2>&1; do
    while read -r name pid; do
      kill -0 "$pid" 2>/dev/null || give_up "$name ended" "$name"
    done <"$DIR/daemons"
    [ "$SECONDS" -lt "$end" ] || give_up "$1 is not ready after $2 s" "$1"
    sleep 0.1
  done
}

# give_up WHAT NAME: say which log to read, and its last lines.
give_up() {
  echo "$(basename "$0"): $1; its logs:" >&2
  tail -v -n 5 "$DIR/log/$2".* >&2
  end_all "$DIR"
  exit 1
}

# pids_of DIR: daemons of a folder, jobs that they run, and what those started; found by their commands and open logs,
# so that nothing is missed after a crash.
pids_of() {
  local pid found=""
  local daemons='munged|slurmctld|slurmd|slurmstepd|slurm_script|ceph-mon|ceph-osd|radosgw|sge_qmaster|sge_execd|sge_shepherd|sshd|dask-gateway|^dask$|etcd|kube-apiserver|kube-controller'
  for pid in $(pgrep "$daemons"); do
    if tr '\0' '\n' <"/proc/$pid/cmdline" | grep -qF "$1/" ||
      readlink "/proc/$pid/cwd" "/proc/$pid"/fd/* | grep -qF -e "$1/log/" -e "$1/spool/"; then
      found+=" $pid"
    fi
  done 2>/dev/null
  local parents=$found
  while [ -n "$parents" ]; do
    parents=$(pgrep -P "$(echo $parents | tr ' ' ',')" | tr '\n' ' ' || true)
    found+=" $parents"
  done
  echo $found | tr ' ' '\n' | sort -un
}

# end_all DIR: end the processes of a folder: by asking, and what is left after 3 seconds at once.
end_all() {
  local pids round
  pids=$(pids_of "$1")
  [ -n "$pids" ] || return 0
  kill $pids 2>/dev/null || true
  for round in $(seq 30); do
    [ -n "$(alive $pids)" ] || break
    sleep 0.1
  done
  # A daemon may have started another process meanwhile.
  for round in $(seq 20); do
    pids=$(alive $pids $(pids_of "$1"))
    [ -n "$pids" ] || return 0
    kill -KILL $pids 2>/dev/null || true
    sleep 0.2
  done
  fail "$1: these processes do not end: $(echo $pids)"
}

alive() { local pid; for pid in "$@"; do kill -0 "$pid" 2>/dev/null && echo "$pid"; done; true; }
