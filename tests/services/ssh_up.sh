#!/usr/bin/env bash
# ssh_up.sh DIR: starts an SSH server of its own on this machine, at 127.0.0.1, 127.0.0.2 and 127.0.0.3, as root; the
# machine's own is not touched. DIR has its keys, those of the user who may log in, and known_hosts; `. DIR/env` says
# where they are and on which port it listens. down.sh DIR ends it, with what was started by it.
set -eEuo pipefail
. "$(dirname "$0")/common.sh"
use_folder "${1:-}" /usr/sbin/sshd ssh-keygen
PORT=$(free_port)
for key in host user stranger; do
  [ -f "$DIR/$key" ] || ssh-keygen -q -t ed25519 -N '' -C "$key" -f "$DIR/$key"
done
cp "$DIR/user.pub" "$DIR/authorized"
for host in 127.0.0.1 127.0.0.2 127.0.0.3; do
  echo "[$host]:$PORT $(cut -d ' ' -f 1,2 "$DIR/host.pub")"
done >"$DIR/known_hosts"

cat >"$DIR/sshd_config" <<CONF
ListenAddress 127.0.0.1:$PORT
ListenAddress 127.0.0.2:$PORT
ListenAddress 127.0.0.3:$PORT
HostKey $DIR/host
AuthorizedKeysFile $DIR/authorized
PidFile none
UsePAM no
# Root may log in with the key alone; the folder may be of another user.
PermitRootLogin prohibit-password
PasswordAuthentication no
KbdInteractiveAuthentication no
StrictModes no
MaxStartups 100
CONF

# sshd refuses to start without it; Debian makes it at each start of its own server.
mkdir -p /run/sshd
start sshd /usr/sbin/sshd -D -e -f "$DIR/sshd_config"
listens() { (exec 3<>"/dev/tcp/127.0.0.3/$PORT"); }
wait_for sshd 10 listens
cat >"$DIR/env" <<ENV
export GEOMOB_SSH_PORT=$PORT
export GEOMOB_SSH_KEY=$DIR/user
export GEOMOB_SSH_KNOWN_HOSTS=$DIR/known_hosts
ENV
echo "SSH is up at 127.0.0.1, 127.0.0.2 and 127.0.0.3, port $PORT" >&2
