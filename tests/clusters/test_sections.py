"""Sections of cluster.yaml: what they refuse while the file is read, and what `--dry-run` prints of them."""

import pytest

from geomob_dask.clusters import effective
from geomob_dask.clusters.extras import library
from geomob_dask.errors import SettingsError
from geomob_dask.sections.quantities import seconds_of
from geomob_dask.sections.secrets import is_secret, refuse_secrets_in
from geomob_dask.sections.shared import RemoteWorkers
from geomob_dask.settings import Settings, load_settings


@pytest.fixture(autouse=True)
def _nothing_around(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("GEOMOB_STORE", "GEOMOB_CLUSTER", "GEOMOB_CONFIG", "GEOMOB_ADDRESS"):
        monkeypatch.delenv(name, raising=False)


def read(tmp_path, text: str, cluster: str = "big") -> Settings:
    (tmp_path / "cluster.yaml").write_text(f"cluster: {cluster}\nclusters:\n  {cluster}: {{{text}}}\n")
    return load_settings()


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("kind: mainframe", r"clusters\.big: unknown kind 'mainframe'; expected local, address"),
        ("kind: slrum", r"clusters\.big: unknown kind 'slrum'; did you mean 'slurm'\? Expected local"),
        ("workers: 2", r"clusters\.big: found no kind; expected one, such as kind: local"),
        ("kind: local, memory_limit: much", r"big\.memory_limit: expected a size such as 4GiB, or auto, found 'much'"),
        ("kind: local, memory_limit: 4", r"big\.memory_limit: expected a size .*1 MiB or more, or auto, found 4"),
        ("kind: local, memory_limit: [4]", r"big\.memory_limit: expected a size"),
        ("kind: local, pause: 2", r"big\.pause: expected 1 or less, found 2"),
        ("kind: local, workers: yes", r"big\.workers: expected a number, found true"),
        ("kind: local, patience: off", r"big\.patience: expected a number, found false"),
        ("kind: local, workers: 1000000", r"big\.workers: expected 100000 or less, found 1000000"),
        ("kind: local, patience: .inf", r"big\.patience: expected seconds such as 90, .* at most 366 days, found inf"),
        ("kind: local, silence: 1.0e+12", r"big\.silence: expected seconds .* at most 366 days, found 1"),
        ("kind: local, progress: 0", r"big\.progress: expected seconds .*more than 0.*, found 0"),
        ("kind: local, progress: 5 parsecs", r"big\.progress: expected seconds .*, found '5 parsecs'"),
        ("kind: local, pause: 0.5", r"big: found target 0\.6, spill 0\.7, pause 0\.5, terminate 0\.95; expected"),
        ("kind: slurm, workers: 1, memory: 4GiB, logs: my logs", r"big\.logs: expected a folder without spaces"),
        ("kind: slurm, workers: 1, memory: 4GiB, walltime: 4000 days", r"walltime: expected a time .*at most 366 days"),
        ("kind: slurm, workers: 1, memory: 4GiB, walltime: '00:90'", r"walltime: expected a time .*found '00:90'"),
        ("kind: local, processes: maybe", r"big\.processes: expected true, false or auto, found 'maybe'"),
        ("kind: ssh, hosts: node1", r"big\.hosts: expected a list, found 'node1'"),
        ("kind: ssh, hosts: [a b]", r"big\.hosts\.0: expected the name or address of a machine, found 'a b'$"),
        ("kind: local, driver: 5", r"big\.driver: expected keys with their values, found 5"),
        ("kind: local, tls: yes", r"big\.tls: expected temporary, or the files ca, certificate and key, found True"),
        ("kind: local, tls: {ca: a.pem}", r"big\.tls: found no certificate, key; expected the files"),
        ("kind: local, tls: {ca: a, keys: b}", r"big\.tls: unknown key 'keys'; did you mean 'key'"),
        ("kind: address, address: 'tls://a:1'", r"big: address tls://a:1: found no tls"),
        (
            "kind: address, address: 'tcp://a:1', tls: {ca: a, certificate: b, key: c}",
            r"big: .*expected an address tls://",
        ),
        ("kind: address, address: 'tls://a:1', tls: temporary", r"big: tls: found temporary"),
        ("kind: address, timeout: never", r"big\.timeout: expected seconds .*, found 'never'"),
    ],
)
def test_a_wrong_section_names_file_key_and_value(tmp_path, text, told):
    with pytest.raises(SettingsError, match=r"^cluster\.yaml: clusters\..*") as refused:
        read(tmp_path, text)
    assert refused.match(told)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"lifetime": "soon"}, "lifetime"),
        ({"lifetime": "90"}, "expected a time such as 55 minutes"),
        ({"lifetime": 90}, "expected a time such as 55 minutes"),
        ({"lifetime": "0 s"}, "expected a time"),
        ({"lifetime": "-5 minutes"}, "expected a time"),
        ({"lifetime_stagger": "5 minutes"}, "without lifetime"),
        ({"lifetime": "5 minutes", "lifetime_stagger": "00:05:00"}, "could retire at once"),
        ({"adapt": {"minimum": 3, "maximum": 2}}, "minimum 3 is above maximum 2"),
        ({"adapt": {"minimum": 3}}, "maximum"),
        ({"workers": 2, "adapt": {"maximum": 2}}, "expected one of them"),
        ({"environ": {"A B": "1"}}, "'A B' is no name of a variable"),
        ({"environ": {"A": None}}, "A: found no text"),
        ({"environ": {"A": "1\n2"}}, "A: found several lines"),
    ],
)
def test_workers_of_other_machines_refuse_nonsense(options, told):
    with pytest.raises(ValueError, match=told):
        RemoteWorkers(**options)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("55 minutes", 3300), ("90s", 90), ("2h", 7200), ("02:00:00", 7200), ("30:00", 1800), ("2-12:00:00", 216_000)],
)
def test_times_of_people_and_of_queues(text, seconds):
    assert seconds_of(text) == seconds


def test_seconds_of_a_section_may_be_words(tmp_path):
    section = read(tmp_path, "kind: local, patience: 5 minutes, silence: '00:10:00', progress: 90").section
    assert (section.patience, section.silence, section.progress) == (300.0, 600.0, 90.0)


def test_numbers_of_variables_are_text():
    assert RemoteWorkers(environ={"OMP_NUM_THREADS": 1}).environ == {"OMP_NUM_THREADS": "1"}


SECRETS = [
    ("AWS_SECRET_ACCESS_KEY", "hunter2hunter2"),
    ("AWS_SESSION_TOKEN", "hunter2hunter2"),
    ("API_KEY", "hunter2hunter2"),
    ("DATABASE_PASSWORD", "hunter2hunter2"),
    ("DATABASE", "postgresql://me:hunter2hunter2@host/base"),
    ("HEADER", "Bearer hunter2hunter2"),
    ("ID", "AKIA" + "ABCDEFGHIJKLMNOP"),
]


@pytest.mark.parametrize(("name", "value"), SECRETS)
def test_variables_that_look_like_secrets_are_refused_and_not_shown(name, value):
    with pytest.raises(ValueError, match=f"'{name}' looks like a secret") as refused:
        RemoteWorkers(environ={name: value})
    from geomob_dask.checked import explain

    assert "AWS_PROFILE" in explain(refused.value)
    assert value not in explain(refused.value)


def test_an_environment_that_is_no_mapping_is_not_shown():
    from geomob_dask.checked import explain

    with pytest.raises(ValueError, match="environ") as refused:
        RemoteWorkers(environ="AWS_SECRET_ACCESS_KEY=hunter2hunter2")
    assert "hunter2" not in explain(refused.value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("AWS_PROFILE", "census"),
        ("AWS_SHARED_CREDENTIALS_FILE", "/home/me/aws"),
        ("AWS_WEB_IDENTITY_TOKEN_FILE", "/run/token"),
        ("AWS_ENDPOINT_URL", "https://s3.example:9000"),
        ("TOKENIZERS_PARALLELISM", "false"),
        ("MONKEY", "1"),
        ("OMP_NUM_THREADS", "1"),
    ],
)
def test_other_variables_are_not(name, value):
    assert not is_secret(name, value)


@pytest.mark.parametrize(
    "line", ["export AWS_SECRET_ACCESS_KEY=hunter2", "A=1 TOKEN='x y' run", "echo AKIAABCDEFGHIJKLMNOP"]
)
def test_lines_of_scripts_with_secrets_are_refused(line):
    with pytest.raises(Exception, match="looks like a secret"):
        refuse_secrets_in(line)


def test_other_lines_of_scripts_are_not():
    for line in (
        "module load python/3.11",
        "export PASSWORD=$(cat ~/.secret)",
        "source ~/.keys",
        "export A_TOKEN=$TOKEN",
    ):
        refuse_secrets_in(line)


def test_a_missing_library_says_what_installs_it():
    with pytest.raises(SettingsError, match=r"^big: needs no_such_library.*pip install 'geomob-dask\[queue\]'"):
        library("no_such_library", "queue", "big")


def test_the_effective_configuration_of_every_kind(tmp_path):
    local = effective(read(tmp_path, "kind: local, workers: 3, memory_limit: 2GiB, tls: temporary"))
    assert local[:2] == ["cluster: big, of the kind local", "  workers: 3 processes on this machine"]
    assert "  memory: 2.00 GiB a worker" in " ".join(local)
    assert "  tls: temporary, a certificate made for the run" in local
    assert "127.0.0.1:8787" in " ".join(local)
    address = effective(read(tmp_path, "kind: address, address: 'tcp://10.0.0.1:8786'"))
    assert "tcp://10.0.0.1:8786" in address[1]
    assert effective(read(tmp_path, "kind: serial"))[1] == "  workers: none, every task in turn in this process"


NEIGHBORS = ("neighbors", "--vintage", "sample")


def test_a_section_that_cannot_work_is_refused_by_a_dry_run(tmp_path, job, monkeypatch):
    monkeypatch.setenv("GEOMOB_STORE", str(tmp_path / "store"))
    assert job("ingest", "sample").code == 0
    read(tmp_path, "kind: local, memory_limit: 300MiB")
    refused = job(*NEIGHBORS, "--dry-run")
    assert (refused.code, refused.out) == (2, "")
    assert "cluster.yaml: clusters.big: memory_limit 300MiB: found 300 MiB" in refused.err
    read(tmp_path, "kind: local, workers: 2")
    small, any_size = (job(*names, "--dry-run").out for names in (NEIGHBORS, ("store", "verify")))
    assert "cluster: big, of the kind local\n  workers: 2 threads of this process" in small
    assert "cluster: big, of the kind local\n  workers: 2 processes on this machine" in any_size
    places = ("ingest", "places", "areas.geojson", "--name", "x", "--vintage", "sample", "--cluster", "serial")
    assert "cluster: serial, of the kind serial\n  workers: none" in job(*places, "--dry-run").out
