#!/usr/bin/env bash
# kubernetes_up.sh DIR CRDS [HOST]: starts the control plane of Kubernetes on this machine: etcd, an API server at HOST
# (127.0.0.1) and the controllers of deployments, jobs and garbage, with the resources that CRDS defines (a folder of
# dask-kubernetes) and a namespace `work`; no node. kubernetes_build.sh makes the programs. down.sh DIR ends it.
# `. DIR/env` sets KUBECONFIG, with the contexts admin, driver (the role of kubernetes_role.yaml), visitor (no rights) and
# stranger (no access).
set -eEuo pipefail
. "$(dirname "$0")/common.sh"
use_folder "${1:-}" etcd kube-apiserver kube-controller-manager curl openssl
CRDS=${2:?expected the folder of the definitions of dask-kubernetes} HOST=${3:-127.0.0.1} API=$(free_port) STORE=$(free_port) PEER=$(free_port)
ROLE=$(dirname "$0")/kubernetes_role.yaml
rm -rf "$DIR/etcd"
random() { head -c 16 /dev/urandom | od -An -tx1 | tr -d ' \n'; }
ADMIN=$(random) DRIVER=$(random)
VISITOR=$(random)
umask 077
openssl genrsa -out "$DIR/accounts.key" 2048 2>/dev/null
openssl rsa -in "$DIR/accounts.key" -pubout -out "$DIR/accounts.pub" 2>/dev/null
printf '%s\n' "$ADMIN,admin,1,system:masters" "$DRIVER,driver,2,people" "$VISITOR,visitor,3,people" >"$DIR/tokens.csv"

{
  echo "{apiVersion: v1, kind: Config, current-context: admin,"
  echo "clusters: [{name: here, cluster: {server: 'https://$HOST:$API', insecure-skip-tls-verify: true}}],"
  echo "users: [{name: admin, user: {token: $ADMIN}}, {name: driver, user: {token: $DRIVER}},"
  echo "  {name: visitor, user: {token: $VISITOR}}, {name: stranger, user: {token: unknown}}],"
  echo "contexts: ["
  for user in admin driver visitor stranger; do
    echo "  {name: $user, context: {cluster: here, user: $user, namespace: work}},"
  done
  echo "]}"
} >"$DIR/kubeconfig"

start etcd etcd --data-dir "$DIR/etcd" --unsafe-no-fsync \
  --listen-client-urls "http://127.0.0.1:$STORE" --advertise-client-urls "http://127.0.0.1:$STORE" \
  --listen-peer-urls "http://127.0.0.1:$PEER" --initial-advertise-peer-urls "http://127.0.0.1:$PEER" \
  --initial-cluster "default=http://127.0.0.1:$PEER"
wait_for etcd 30 curl -fsS "http://127.0.0.1:$STORE/health"
start apiserver kube-apiserver --etcd-servers "http://127.0.0.1:$STORE" --bind-address "$HOST" --secure-port "$API" \
  --insecure-port 0 --cert-dir "$DIR/certs" --service-cluster-ip-range 10.96.0.0/16 --authorization-mode RBAC \
  --token-auth-file "$DIR/tokens.csv" --service-account-issuer https://kubernetes.default --api-audiences kubernetes \
  --service-account-key-file "$DIR/accounts.pub" --service-account-signing-key-file "$DIR/accounts.key" \
  --disable-admission-plugins ServiceAccount --kubelet-preferred-address-types InternalIP \
  --feature-gates TTLAfterFinished=true
ask() { curl --http1.1 -fsS -k -m 10 -H "Authorization: Bearer $ADMIN" "https://$HOST:$API/$1" "${@:2}" >/dev/null; }
wait_for apiserver 60 ask readyz
put() { ask "$1" -H "Content-Type: application/yaml" --data-binary "@${2:--}"; }
for crd in "$CRDS"/dask*.yaml; do put apis/apiextensions.k8s.io/v1/customresourcedefinitions "$crd"; done
put api/v1/namespaces <<<'{apiVersion: v1, kind: Namespace, metadata: {name: work}}'
put apis/rbac.authorization.k8s.io/v1/namespaces/work/roles "$ROLE"
put apis/rbac.authorization.k8s.io/v1/namespaces/work/rolebindings <<YAML
{apiVersion: rbac.authorization.k8s.io/v1, kind: RoleBinding, metadata: {name: geomob-driver},
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: geomob-driver},
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: driver}]}
YAML
for kind in daskclusters daskautoscalers; do
  wait_for apiserver 30 ask "apis/kubernetes.dask.org/v1/namespaces/work/$kind"
done
start controllers kube-controller-manager --kubeconfig "$DIR/kubeconfig" --leader-elect=false --port 0 --secure-port 0 \
  --controllers deployment,replicaset,endpoint,job,garbagecollector,namespace --concurrent-gc-syncs 2
echo "export KUBECONFIG=$DIR/kubeconfig" >"$DIR/env"
echo "Kubernetes' control plane is up; '. $DIR/env' points to it" >&2
