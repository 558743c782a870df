#!/usr/bin/env bash
# gateway_up.sh DIR [BIN]: starts a server of Dask Gateway on loopback, whose clusters are processes of this machine;
# down.sh DIR ends it and them. BIN is the folder of its commands and Dask's, by default that of `make setup`. `. DIR/env`
# sets GATEWAY_ADDRESS, GATEWAY_PROXY (host and port of its schedulers) and GEOMOB_GATEWAY_PASSWORD, which every user has.
set -eEuo pipefail
. "$(dirname "$0")/common.sh"
PATH=${2:-$(dirname "$0")/../../.venv/bin}:$PATH
use_folder "${1:-}" dask-gateway-server dask curl
WEB=$(free_port) SCHEDULERS=$(free_port) INSIDE=$(free_port)
PASSWORD=$(head -c 16 /dev/urandom | od -An -tx1 | tr -d ' \n')
rm -rf "$DIR/log/clusters"
mkdir -p "$DIR/log/clusters"

(umask 077; cat >"$DIR/config.py" <<CONF)
from dask_gateway_server.options import Float, Integer, Options

c.DaskGateway.address = "127.0.0.1:$INSIDE"
c.DaskGateway.log_level = "INFO"
c.Proxy.address = "127.0.0.1:$WEB"
c.Proxy.tcp_address = "127.0.0.1:$SCHEDULERS"
c.DaskGateway.authenticator_class = "dask_gateway_server.auth.SimpleAuthenticator"
c.SimpleAuthenticator.password = "$PASSWORD"
# Processes of this user, whoever asks.
c.DaskGateway.backend_class = "dask_gateway_server.backends.local.UnsafeLocalBackend"
c.UnsafeLocalBackend.clusters_directory = "$DIR/log/clusters"
c.UnsafeLocalBackend.sigint_timeout = 3
aws = ["ENDPOINT_URL", "ACCESS_KEY_ID", "SECRET_ACCESS_KEY", "DEFAULT_REGION"]
aws += ["REQUEST_CHECKSUM_CALCULATION", "RESPONSE_CHECKSUM_VALIDATION"]
c.UnsafeLocalBackend.inherited_environment = ["PATH", "PYTHONPATH", "LANG", "HOME", *("AWS_" + name for name in aws)]
# Its own are commands that Dask has no more.
c.ClusterConfig.scheduler_cmd = ["dask", "scheduler"]
c.ClusterConfig.worker_cmd = ["dask", "worker"]
c.ClusterConfig.idle_timeout = 1800
c.ClusterConfig.cluster_max_workers = 4
c.Backend.cluster_options = Options(
    Integer("worker_cores", default=1, min=1, max=4),
    Float("worker_memory", default=2, min=1, max=8, label="GiB"),
    handler=lambda options: {
        "worker_cores": options.worker_cores,
        "worker_memory": int(options.worker_memory * 2**30),
    },
)
CONF

start gateway dask-gateway-server -f "$DIR/config.py"
answers() { curl -fsS -m 2 "http://127.0.0.1:$WEB/api/version"; }
wait_for gateway 30 answers
cat >"$DIR/env" <<ENV
export GATEWAY_ADDRESS=http://127.0.0.1:$WEB
export GATEWAY_PROXY=127.0.0.1:$SCHEDULERS
export GEOMOB_GATEWAY_PASSWORD=$PASSWORD
ENV
echo "Dask Gateway is up; '. $DIR/env' points to it" >&2
