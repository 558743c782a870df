#!/usr/bin/env bash
# kubernetes_build.sh [BIN]: builds kube-apiserver and kube-controller-manager into BIN (/usr/local/bin) from Debian's
# source package, and installs etcd: no package has them. As root on Debian 12; some minutes on two cores, 3 GB on disk.
set -euo pipefail
export DEBIAN_FRONTEND=noninteractive
BIN=${1:-/usr/local/bin}
mkdir -p "$BIN"
WORK=$(mktemp -d)
trap 'rm -rf "$WORK"' EXIT
apt-get update -qq
apt-get install -y -qq --no-install-recommends etcd-server golang-go golang-github-modern-go-reflect2-dev dpkg-dev rsync make curl openssl
# Sources are fetched with lists of their own: those of the machine stay as they are.
mkdir -p "$WORK/lists/partial" "$WORK/sources"
cat >"$WORK/sources/bookworm.sources" <<SOURCES
Types: deb-src
URIs: http://deb.debian.org/debian
Suites: bookworm
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg
SOURCES
lists=(-o Dir::Etc::SourceList=/dev/null -o "Dir::Etc::SourceParts=$WORK/sources" -o "Dir::State::lists=$WORK/lists")
apt-get "${lists[@]}" update -qq
cd "$WORK"
apt-get "${lists[@]}" source -qq --download-only kubernetes
dpkg-source --extract kubernetes_*.dsc source
# The copy that the source has of this library reads maps as older compilers laid them out.
new=/usr/share/gocode/src/github.com/modern-go/reflect2 old=source/vendor/github.com/modern-go/reflect2
rm -f "$old"/*.go "$old"/*.s
cp "$new"/*.go "$new"/*.s "$old"
rm -f "$old/unsafe_link_gccgo.go"
mkdir -p source/.go/src/k8s.io
ln -s ../../.. source/.go/src/k8s.io/kubernetes
cd source/.go/src/k8s.io/kubernetes
export GOPATH=$WORK/source/.go HOME=$WORK CGO_ENABLED=0 GOFLAGS=-mod=vendor GOPROXY=off
nice make WHAT="cmd/kube-apiserver cmd/kube-controller-manager"
install -t "$BIN" _output/local/bin/linux/amd64/kube-apiserver _output/local/bin/linux/amd64/kube-controller-manager
