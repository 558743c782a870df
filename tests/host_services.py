"""Services that some tests start on this machine: which can be had here, and a skip by name of those that cannot.

``GEOMOB_SERVICES`` lists those that must be there (``slurm,sge,ceph,ssh,hosts,browser,gateway,clock``): a test that
needs one of them fails where it is missing. ``tests/services/install.sh`` installs them; ``kubernetes_build.sh`` there
builds another, ``kubernetes``.
"""

import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).parent / "services"
BIN = Path(sys.executable).parent
# The commands of each service, and those that are not started as root.
COMMANDS = {
    "slurm": ("slurmctld", "slurmd", "sbatch", "munged"),
    "sge": ("sge_qmaster", "sge_execd", "qsub", "qconf"),
    "ceph": ("ceph-mon", "ceph-osd", "radosgw", "radosgw-admin"),
    "ssh": ("/usr/sbin/sshd", "ssh-keygen"),
    "hosts": ("ip", "bridge"),
    "browser": ("chromium",),
    "clock": ("faketime",),
    "kubernetes": ("kube-apiserver", "kube-controller-manager", "etcd", "ip", "curl", "openssl"),
    "gateway": (*(str(BIN / name) for name in ("dask-gateway-server", "dask")), "curl"),
}
ANY_USER = ("browser", "clock")
# What Python needs besides, an extra of a package.
MODULES = {"gateway": ("sqlalchemy",)}


def need(service: str) -> None:
    """Skip a test where a service cannot be had; fail it if the service must be there."""
    expected = set(filter(None, os.environ.get("GEOMOB_SERVICES", "").split(",")))
    if unknown := expected - set(COMMANDS):
        pytest.fail(f"GEOMOB_SERVICES: found {', '.join(sorted(unknown))}, expected some of {', '.join(COMMANDS)}")
    missing = [name for name in COMMANDS[service] if shutil.which(name) is None]
    missing += [name for name in MODULES.get(service, ()) if importlib.util.find_spec(name) is None]
    why = f"not found: {', '.join(missing)}" if missing else ""
    if not why and service not in ANY_USER and os.geteuid() != 0:
        why = "needs root"
    if not why:
        return
    script = "kubernetes_build.sh builds" if service == "kubernetes" else "install.sh installs"
    text = f"service {service} cannot be had here ({why}); tests/services/{script} it"
    if service in expected:
        pytest.fail(text)
    pytest.skip(text)


@contextmanager
def started(service: str, folder: Path, *arguments: object) -> Iterator[dict[str, str]]:
    """Start slurm or ceph in a folder, and end it; yield the environment variables with which it is used."""
    need(service)
    try:
        _script(f"{service}_up.sh", folder, *arguments)
        lines = (folder / "env").read_text().splitlines()
        yield dict(line.removeprefix("export ").split("=", 1) for line in lines)
    finally:
        _script("down.sh", folder)


def _script(name: str, folder: Path, *arguments: object) -> None:
    command = [str(SCRIPTS / name), str(folder), *map(str, arguments)]
    # A daemon that held a pipe of ours would keep us waiting: what the script says goes to a file.
    said = folder.parent / f"{folder.name}-{name}.log"
    with said.open("w") as log:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, timeout=240)
    assert done.returncode == 0, said.read_text()
