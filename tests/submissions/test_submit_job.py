"""jobs/submit.py with drivers in sessions of their own, on this machine."""

import os
import re
import shlex
import signal
import subprocess
import sys
from pathlib import Path

from backfill_country import shown
from waits import await_that

from geomob_dask.settings import load_settings
from geomob_dask.store import Store
from geomob_dask.submissions.records import Records, every_id
from geomob_dask.submissions.submitting import prepared, submit

ROOT = Path(__file__).parents[2]


def id_in(text: str) -> str:
    (found,) = re.findall(r"^(?:submitted) (\S+):", text, re.MULTILINE)
    return found


def begun(store: str) -> bool:
    return bool(Store(store).collections("results"))


def test_a_job_is_submitted_followed_and_done(here, country, job):
    done = job("submit", "--follow", "backfill", country[1], "--years", "2017:2021", "--cluster", "serial")
    assert done.code == 0, done.err
    assert "\x1b" not in done.out
    assert "\r" not in done.out
    assert shown(Store(here)) == country[2]
    id = id_in(done.out)
    assert f"{id}: done" in done.out
    log = Path("geomob-logs", f"{id}.log").read_text()
    assert "nation 2019: 1 output in results/opportunity/nation" in log
    assert f"{id}  done at " in job("submit", "--status").out
    assert "70 outputs completed" in job("submit", "--status", id).out
    assert job("submit", "--cancel", id).code == 2
    assert job("submit", "--resume", id).code == 2


def test_a_cancelled_job_keeps_what_is_whole_and_goes_on_where_it_was(here, country, job):

    submitted = job("submit", "backfill", country[1], "--years", "2017:2021", "--cluster", "serial")
    id = id_in(submitted.out)
    await_that(lambda: begun(here))
    cancelled = job("submit", "--cancel", id)
    assert cancelled.code == 0, cancelled.err
    assert f"{id}: cancelled at" in cancelled.out
    before = shown(Store(here))
    assert before
    assert before.keys() < country[2].keys()
    assert "error:" not in job("submit", "--status", id).err
    assert job("submit", "--resume", id).code == 0
    followed = job("submit", "--follow", id)
    assert followed.code == 0, followed.err
    assert shown(Store(here)) == country[2]


def test_a_job_that_fails_says_why_in_follow_and_status(here, tmp_path, job):
    script = tmp_path / "failing.py"
    script.write_text("import sys; print('error: no tract 7', file=sys.stderr, flush=True); sys.exit(3)")
    settings = load_settings(cluster="serial")
    asked, place = prepared("failing", script, [], settings, Store.of(settings), None)
    submit(Store(here), asked, place, settings.section)
    id = asked.id
    followed = job("submit", "--follow", id)
    assert followed.code == 3
    assert "no tract 7" in followed.err
    assert re.search(f"{id}  failed at .*, exit code 3: no tract 7", job("submit", "--status").out)


def test_nothing_is_submitted_that_the_job_refuses(here, country, job):
    for arguments in [("--years", "2017:2021", "--oder", "oldest"), ("--years", "nineteen")]:
        # The check is a process of its own: what it says is not in what `job` returns.
        done = job("submit", "backfill", country[1], *arguments)
        assert done.code == 2
        assert "not submitted: backfill refuses it" in done.err
        assert every_id(Store(here).objects) == []
    for arguments, named in [
        (("backfil", country[1]), "did you mean 'backfill'"),
        (("backfill", country[1], "--cluster", "nowhere"), "nowhere"),
        (("--status", "--cancel", "x"), "--cancel"),
        (("--status", "no-such-id"), "no-such-id"),
        (("--cancel",), "--status lists them"),
        (("backfill", country[1], "--store", "s3://AKIAABCDEFGHIJKLMNOP:pw@bucket"), "password"),
        (("ingest", "acs", "--api-key=0123456789abcdef"), "secret"),
        (("ingest", "acs", "--api-key", "0123456789abcdef"), "secret"),
    ]:
        done = job("submit", *arguments)
        assert done.code == 2, (arguments, done.err)
        assert named in done.err
        assert "0123456789abcdef" not in done.err
        assert every_id(Store(here).objects) == []


def test_a_dry_run_shows_what_would_be_submitted_and_submits_nothing(here, country, job):
    done = job("submit", "backfill", country[1], "--years", "2017", "--cluster", "serial", "--dry-run")
    assert done.code == 0
    assert "-m geomob_dask.submissions.driver" in done.out
    assert every_id(Store(here).objects) == []
    assert not begun(here)


def test_the_commands_that_are_printed_find_a_submission_of_another_store(here, country, job, tmp_path, monkeypatch):
    monkeypatch.setenv("GEOMOB_STORE", str(tmp_path / "another"))
    file = tmp_path / "my cluster.yaml"
    file.write_text("clusters: {here: {kind: serial}}\n")
    arguments = ("--years", "2017", "--store", here, "--cluster", "here")
    done = job("submit", "--config", file, "--follow", "backfill", country[1], *arguments)
    assert done.code == 0, done.err
    for asked, code in (("follow", 0), ("status", 0), ("cancel", 2)):
        (line,) = re.findall(rf"^{asked}: (.*)$", done.out, re.MULTILINE)
        python, script, *words = shlex.split(line)
        assert (python, script) == ("python", "jobs/submit.py")
        again = job("submit", *words)
        assert again.code == code, again.err
        assert "done at" in again.out + again.err
        assert ["--store", here, "--config", str(file)] == words[1:-1]


def test_ctrl_c_ends_following_and_not_the_job(here, country):
    line = [sys.executable, str(ROOT / "jobs/submit.py"), "--follow", "backfill", country[1], "--years", "2017:2021"]
    process = subprocess.Popen(
        [*line, "--cluster", "serial"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    await_that(lambda: begun(here))
    os.killpg(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "goes on: python jobs/submit.py --follow" in err
    records = Records(Store(here).objects, id_in(out))
    await_that(lambda: 1 in records.known().of("ended"))
    assert records.known().of("ended")[1]["outcome"] == "done"
    assert shown(Store(here)) == country[2]
