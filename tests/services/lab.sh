#!/usr/bin/env bash
# lab.sh COMMAND: hosts on this machine and a switch between them, each a network namespace; the machine's own network is
# not touched. As root.
#   up                   makes the hosts
#   run HOST COMMAND…    runs a command on a host
#   address HOST         prints its address
#   cut HOST, join HOST  takes a host off the switch, and puts it back
#   isolate on|off       cuts the links between hosts other than the first, which still sees all; or puts them back
#   down                 ends all processes on the hosts, and removes the hosts
# HOSTS (s w1 w2) are their names, LAB (gm) is what stands before them: several labs can be up at once.
set -euo pipefail
LAB=${LAB:-gm}
read -ra hosts <<<"${HOSTS:-s w1 w2}"
switch=$LAB-switch

fail() { echo "lab.sh: $*" >&2; exit 1; }
[ "$(id -u)" = 0 ] || fail "needs root"

number_of() {
  local i
  for i in "${!hosts[@]}"; do [ "${hosts[i]}" != "${1:-}" ] || { echo $((i + 1)); return; }; done
  fail "no host '${1:-}'; expected one of: ${hosts[*]}"
}

case ${1:-} in
up)
  ip netns add "$switch"
  ip -n "$switch" link add br0 type bridge
  ip -n "$switch" link set br0 up
  for host in "${hosts[@]}"; do
    ip netns add "$LAB-$host"
    ip -n "$switch" link add "p-$host" type veth peer name eth0 netns "$LAB-$host"
    ip -n "$switch" link set "p-$host" master br0 up
    ip -n "$LAB-$host" addr add "10.77.0.$(number_of "$host")/24" dev eth0
    ip -n "$LAB-$host" link set eth0 up
    ip -n "$LAB-$host" link set lo up
  done
  ;;
run) number_of "${2:-}" >/dev/null; exec ip netns exec "$LAB-$2" "${@:3}" ;;
address) echo "10.77.0.$(number_of "${2:-}")" ;;
cut) number_of "${2:-}" >/dev/null; ip -n "$switch" link set "p-$2" down ;;
join) number_of "${2:-}" >/dev/null; ip -n "$switch" link set "p-$2" up ;;
isolate)
  case ${2:-} in on | off) ;; *) fail "isolate: expected on or off" ;; esac
  for host in "${hosts[@]:1}"; do ip netns exec "$switch" bridge link set dev "p-$host" isolated "$2"; done
  ;;
down)
  names=()
  for host in "${hosts[@]}"; do names+=("$LAB-$host"); done
  for signal in TERM KILL; do
    pids=$(for name in "${names[@]}"; do ip netns pids "$name" 2>/dev/null || true; done)
    [ -n "$pids" ] || break
    kill -"$signal" $pids 2>/dev/null || true
    sleep 1
  done
  for name in "${names[@]}" "$switch"; do ip netns del "$name" 2>/dev/null || true; done
  ;;
*) fail "expected a command: up, run, address, cut, join, isolate, down" ;;
esac
