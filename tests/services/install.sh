#!/usr/bin/env bash
# Installs the services that some tests start on this machine (Debian, as root): Slurm, Grid Engine, Ceph's object
# gateway, SSH, network namespaces, a browser, clocks that are off. Nothing is started.
set -euo pipefail
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
apt-get install -y -qq --no-install-recommends slurm-wlm munge ceph-mon ceph-osd radosgw ceph-common \
  gridengine-master gridengine-exec gridengine-client \
  openssh-server openssh-client iproute2 chromium faketime curl
