"""How a submission stands, from its records and from what its place says."""

import shlex
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

from geomob_dask.errors import InputError, RunError, SettingsError, StoreError
from geomob_dask.outputs.submissions import described_lines, status_lines
from geomob_dask.sections import SerialSection, SgeSection, SlurmSection
from geomob_dask.sections.driver import Driver
from geomob_dask.settings import load_settings
from geomob_dask.store import Store
from geomob_dask.store.objects import Objects
from geomob_dask.submissions import driver
from geomob_dask.submissions.driver import Run, Signals, send
from geomob_dask.submissions.following import follow
from geomob_dask.submissions.places import State
from geomob_dask.submissions.processes import Session
from geomob_dask.submissions.queues import PLACES
from geomob_dask.submissions.records import Asked, Records, every_id, new_id
from geomob_dask.submissions.standing import standing_now, standing_of
from geomob_dask.submissions.submitting import cancel, driver_of, prepared, resume, submit

ASKED = Asked(
    id="backfill-1",
    job="backfill",
    command=("python", "jobs/backfill.py", "night.yaml"),
    place="slurm",
    settings={"GEOMOB_STORE": "/store", "GEOMOB_CLUSTER": "slurm"},
    config="",
    folder="/home/me",
    log="/home/me/geomob-logs/backfill-1.log",
    script="#!/bin/sh\n",
    walltime=3600.0,
    margin=120.0,
    resume="walltime",
    attempts=2,
    user="me",
    host="login1",
    asked=1.0,
    version="0",
)


@dataclass
class Queue:
    """A queue that says what a test wants."""

    says: State = field(default_factory=lambda: State("unknown", "invalid job id"))
    title: str = "Slurm job"
    refuses: bool = False
    sent: list[str] = field(default_factory=list)
    number: str = "7"
    elsewhere: bool = False

    def state(self, asked: Asked, number: str) -> State:
        return self.says

    def send(self, asked: Asked) -> str:
        if self.refuses:
            raise RunError("sbatch: the controller does not answer")
        self.sent.append(asked.script)
        return str(len(self.sent))

    def there(self, asked: Asked, known: Collection[str]) -> str:
        return ""

    def here(self) -> str:
        return self.number


@pytest.fixture
def records(tmp_path):
    made = Records(Objects(tmp_path), ASKED.id)
    assert made.ask(ASKED)
    return made


def stands(records, says=None):
    place = Queue() if says is None else Queue(says)
    return standing_of(records.known(), place)


def begun(records):
    records.note("sent", 1)
    records.note("number", 1, number="7")
    assert records.begin(sent=1, host="n1", number="7") == 1


def resume_with(records, monkeypatch, place):
    monkeypatch.setattr("geomob_dask.submissions.submitting.place_named", lambda name: place)
    return resume(SimpleNamespace(objects=records.objects), ASKED.id)


def silent(records, monkeypatch):
    """Have the sign of life be an hour old."""
    now = time.time() + 3600
    monkeypatch.setattr(Objects, "clock", lambda self: now)


def test_queued_with_the_reason_of_the_queue(records):
    records.note("sent", 1)
    records.note("number", 1, number="7")
    found = stands(records, State("queued", "Resources"))
    assert (found.phase, found.why) == ("queued", "Resources")


def test_running_while_it_gives_signs_of_life_whatever_the_queue_says(records):
    begun(records)
    records.live(run=1, line="2020: 3 of 9 outputs")
    found = stands(records)
    assert (found.phase, found.line) == ("running", "2020: 3 of 9 outputs")


def test_done_when_the_queue_has_forgotten_it(records, monkeypatch):
    begun(records)
    records.note("ended", 1, outcome="done", code=0, error="")
    silent(records, monkeypatch)
    assert stands(records).phase == "done"


def test_failed_with_its_exit_code_and_last_error(records):
    begun(records)
    records.note("ended", 1, outcome="failed", code=2, error="--year 3000: expected a year")
    found = stands(records)
    assert (found.phase, found.code, found.is_final) == ("failed", 2, True)
    assert "--year 3000" in found.words()


def test_lost_where_the_queue_ended_it_without_a_word(records, monkeypatch):
    begun(records)
    records.live(run=1, line="x")
    silent(records, monkeypatch)
    found = stands(records, State("ended", "OUT_OF_MEMORY"))
    assert found.phase == "lost"
    assert "OUT_OF_MEMORY" in found.why
    assert stands(records, State("running")).phase == "running"
    assert stands(records, State("queued", "BeginTime")).phase == "queued", "started again after its node failed"


def test_a_queue_that_cannot_be_asked_from_here_has_lost_nothing(records, monkeypatch):
    away = State("not asked", "squeue: no such command here")
    records.note("sent", 1)
    records.note("number", 1, number="7")
    silent(records, monkeypatch)
    monkeypatch.setattr("geomob_dask.submissions.standing._STARTS", -1.0)
    found = stands(records, away)
    assert (found.phase, found.is_final) == ("queued", False)
    assert "as far as is known from here: squeue: no such command here" in found.why
    assert stands(records, State("unknown", "the queue does not know it any more")).phase == "lost"
    with pytest.raises(InputError, match="queued since"):
        resume_with(records, monkeypatch, Queue(away))


def test_what_was_never_handed_over_does_not_wait_for_ever(records, monkeypatch):
    """The machine that submitted it, or the driver at the end of its wall time, was ended meanwhile."""
    records.note("sent", 1)
    assert stands(records).phase == "queued"
    monkeypatch.setattr("geomob_dask.submissions.standing._STARTS", -1.0)
    found = stands(records)
    assert found.phase == "lost"
    assert "ended before its place had answered" in found.why
    place = Queue()
    resume_with(records, monkeypatch, place)
    assert len(place.sent) == 1


def test_a_driver_that_is_silent_for_a_moment_is_not_lost_where_its_place_cannot_be_asked(records, monkeypatch):
    begun(records)
    records.live(run=1, line="x")
    away = State("not asked", "it runs on n1")
    for seconds, phase in ((30, "running"), (300, "running"), (3600, "lost")):
        now = time.time() + seconds
        monkeypatch.setattr(Objects, "clock", lambda self, now=now: now)
        monkeypatch.setattr("geomob_dask.submissions.standing.time.time", lambda now=now: now)
        assert stands(records, away).phase == phase, seconds


def test_a_job_that_lsf_has_forgotten_is_told_from_a_queue_that_does_not_answer(tmp_path, monkeypatch):
    bjobs = tmp_path / "bjobs"
    for said, phase in (("Job <geomob-backfill-1> is not found", "unknown"), ("LSF is down. Please wait", "not asked")):
        bjobs.write_text(f"#!/bin/sh\necho '{said}' >&2\nexit 255\n")
        bjobs.chmod(0o755)
        monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
        assert PLACES["lsf"].state(ASKED, "7").phase == phase


def test_cancelled_by_the_queue_is_told_from_the_end_of_the_wall_time(records, monkeypatch):
    begun(records)
    records.note("ending", 1, reason="stopped")
    records.note("ended", 1, outcome="stopped", code=1, error="interrupted")
    assert stands(records, State("ended", "CANCELLED")).phase == "cancelled"


def test_a_run_that_continues_is_queued_or_runs_under_the_same_id(records):
    begun(records)
    records.note("sent", 2)
    records.note("number", 2, number="8")
    records.note("ended", 1, outcome="continued", code=1, error="interrupted")
    assert stands(records, State("queued", "Priority")).phase == "queued"
    records.begin(sent=2, host="n2", number="8")
    records.live(run=2, line="x")
    assert stands(records).phase == "running"


@dataclass
class Quick(Queue):
    """A place whose jobs do something after the records were read and before it is asked; then it knows none."""

    does: list[Callable[[], object]] = field(default_factory=list)

    def state(self, asked, number):
        if self.does:
            self.does.pop(0)()
        return State("ended", "the process is gone")


def quick(records, *, begins=True, ends="done"):
    """Return what a driver does of which nobody sees a sign of life."""

    def act():
        sent = records.known().last("sent")
        run = records.begin(sent=sent, host="n1", number="7") if begins else 1
        if ends == "continued":
            records.note("sent", sent + 1)
            records.note("number", sent + 1, number="8")
        records.note("ended", run, outcome=ends, code=0, error="")

    return act


def test_a_job_that_is_done_while_its_place_is_asked_is_done(records):
    records.note("sent", 1)
    records.note("number", 1, number="7")
    place = Quick(does=[quick(records, ends="continued"), quick(records)])
    assert standing_of(records.known(), Quick()).phase == "failed", "what its place tells"
    known, found = standing_now(records, place)
    assert (found.phase, known.last("ended")) == ("done", 2)


def test_a_driver_that_is_done_before_its_first_sign_of_life_is_done(records):
    begun(records)
    assert standing_of(records.known(), Quick()).phase == "lost", "what its place tells"
    assert standing_now(records, Quick(does=[quick(records, begins=False)]))[1].phase == "done"


def test_what_its_place_has_ended_is_asked_about_once(records):
    begun(records)
    asked = []
    assert standing_now(records, Quick(does=[lambda: asked.append(1), lambda: asked.append(2)]))[1].phase == "lost"
    assert asked == [1]


@pytest.mark.parametrize("command", ["follow", "cancel", "resume", "status"])
def test_every_command_takes_a_quick_job_for_done(records, monkeypatch, command):
    records.note("sent", 1)
    records.note("number", 1, number="7")
    place = Quick(does=[quick(records)])
    for module in ("submissions.submitting", "submissions.following", "outputs.submissions"):
        monkeypatch.setattr(f"geomob_dask.{module}.place_named", lambda name: place)
    store = SimpleNamespace(objects=records.objects)
    if command == "follow":
        monkeypatch.setattr("geomob_dask.submissions.following.time.sleep", lambda seconds: None)
        assert follow(records, lambda line: None).phase == "done"
    elif command == "status":
        assert "done at" in status_lines(records.objects)[0]
    else:
        with pytest.raises(InputError, match="done at"):
            {"cancel": cancel, "resume": resume}[command](store, ASKED.id)
        assert not place.sent


def test_one_that_was_done_before_it_could_be_cancelled_is_done(records, monkeypatch):
    records.note("sent", 1)
    records.note("number", 1, number="7")

    class Ends(Queue):
        """A place whose job begins when it is asked to end it."""

        def end(self, asked, number, *, began):
            self.says = State("running")

        def state(self, asked, number):
            if self.says.phase == "running":
                quick(records)()
            return self.says

    place = Ends(State("queued", "Priority"))
    monkeypatch.setattr("geomob_dask.submissions.submitting.place_named", lambda name: place)
    assert cancel(SimpleNamespace(objects=records.objects), ASKED.id).phase == "done"


def test_cancelled_before_it_began(records):
    records.note("sent", 1)
    records.note("number", 1, number="7")
    records.note("cancel", 1)
    assert stands(records, State("ended", "CANCELLED")).phase == "cancelled"


def test_half_a_record_is_none(records, tmp_path):
    begun(records)
    (tmp_path / "submissions" / ASKED.id / "ended-1.json").write_text('{"outcome": "do')
    assert stands(records, State("running")).phase == "running"


def test_what_is_written_once_is_read_once(records, tmp_path, monkeypatch):
    begun(records)
    records.live(run=1, line="x")
    file = tmp_path / "submissions" / ASKED.id / "ended-1.json"
    file.write_text('{"outcome": "do')
    known, find, read = records.known(), Objects.find, []

    def counted(self, key):
        read.append(key.rpartition("/")[2])
        return find(self, key)

    monkeypatch.setattr(Objects, "find", counted)
    assert records.known().events == known.events
    assert sorted(read) == ["alive.json", "ended-1.json"], "half of a record is read again"
    file.write_text('{"outcome": "done"}')
    assert records.known().of("ended")[1]["outcome"] == "done"
    assert Records(records.objects, ASKED.id).known().events == records.known().events
    records.forget()
    with pytest.raises(InputError, match="none in"):
        records.known()


def test_ids_are_unique_and_listed(tmp_path):
    objects = Objects(tmp_path)
    ids = {new_id("backfill") for _ in range(50)}
    assert len(ids) > 45, "a random part besides the time"
    for id in ids:
        assert Records(objects, id).ask(replace(ASKED, id=id))
        assert not Records(objects, id).ask(replace(ASKED, id=id))
    assert set(every_id(objects)) == ids
    assert len(status_lines(objects)) == len(ids)


def test_an_unknown_id_names_the_nearest(records):
    with pytest.raises(InputError, match="did you mean 'backfill-1'"):
        Records(records.objects, "backfil-1").known()


def test_lines_of_one(records):
    begun(records)
    records.note("ended", 1, outcome="done", code=0, error="", completed=3)
    known = records.known()
    text = "\n".join(described_lines(known, standing_of(known, Queue()), records.where))
    assert "3 outputs completed" in text
    assert ASKED.log in text


# What comes after a run that was interrupted ------------------------------------------------


class Said:
    last, error = "2020: 3 of 9 outputs", "interrupted"


@pytest.fixture
def run(records, monkeypatch):
    monkeypatch.setattr(Signals, "__init__", lambda self: None)

    def made(reason, place, known=None):
        signals = Signals()
        signals.near_end = signals.ended = False
        found = Run(records, known or records.known(), place, signals)
        found.reason = reason
        return found

    records.note("sent", 1)
    return made


def test_a_driver_at_its_wall_time_is_submitted_again(run, records):
    place = Queue()
    assert run("walltime", place)._conclude(1, Said(), 3) == 75
    assert place.sent == [ASKED.script]
    assert records.known().of("ended")[1]["outcome"] == "continued"


def test_a_driver_that_was_done_in_time_is_not(run):
    place = Queue()
    assert run("walltime", place)._conclude(0, Said(), 3) == 0
    assert not place.sent


def test_a_driver_that_gets_nowhere_is_given_up(run, records):
    place = Queue()
    assert run("walltime", place)._conclude(1, Said(), 0) == 75
    assert run("walltime", place)._conclude(1, Said(), 0) == 1
    assert len(place.sent) == 1
    ended = records.known().of("ended")[2]
    assert ended["outcome"] == "failed"
    assert "2 runs in a row" in ended["error"]


def test_an_output_between_begins_the_count_anew(run, records):
    place = Queue()
    for completed, code in ((0, 75), (1, 75), (0, 75), (0, 1)):
        assert run("walltime", place)._conclude(1, Said(), completed) == code


def test_a_cancelled_driver_does_not_come_back(run, records):
    place = Queue()
    records.note("cancel", 1)
    assert run("cancelled", place)._conclude(1, Said(), 3) == 130
    assert run("walltime", place)._conclude(1, Said(), 3) == 130, "cancelled while it was interrupted for its wall time"
    assert not place.sent


def test_what_the_queue_ends_comes_back_only_where_it_is_to(run, records):
    place = Queue()
    assert run("stopped", place)._conclude(1, Said(), 3) == 130
    assert not place.sent
    always = replace(records.known(), asked=replace(ASKED, resume="always"))
    assert run("stopped", place, always)._conclude(1, Said(), 3) == 75
    assert place.sent


def test_one_that_never_comes_back_does_not_after_its_wall_time_either(run, records):
    """The queue ends it then: it has not been interrupted before."""
    place = Queue()
    never = replace(records.known(), asked=replace(ASKED, resume="never"))
    ended = run("", place, never)
    ended.started -= ASKED.walltime
    ended.signals.ended = True
    assert ended._conclude(1, Said(), 3) == 130
    assert not place.sent
    assert stands(records, State("ended", "TIMEOUT")).phase == "cancelled"


def test_a_driver_that_fails_by_itself_stays_failed(run, records):
    place = Queue()
    assert run("", place)._conclude(-9, Said(), 3) == 137
    assert not place.sent
    assert records.known().of("ended")[1]["outcome"] == "failed"


@pytest.mark.parametrize(
    ("reason", "away", "code"), [("walltime", 50.0, 75), ("walltime", 150.0, 1), ("stopped", 3.0, 75)]
)
def test_a_queue_that_is_away_for_a_moment_is_asked_again_while_there_is_time(
    run, records, monkeypatch, reason, away, code
):
    now = time.monotonic()
    passed = 0.0

    def sleep(seconds):
        nonlocal passed
        passed += seconds

    class Away(Queue):
        """A queue whose controller is restarted."""

        def send(self, asked):
            self.refuses = passed < away
            return super().send(asked)

    monkeypatch.setattr(driver.time, "sleep", sleep)
    monkeypatch.setattr(driver.time, "monotonic", lambda: now + passed)
    always = replace(records.known(), asked=replace(ASKED, resume="always"))
    ending = run(reason, Away(), always)
    assert ending._conclude(1, Said(), 3) == code
    assert passed < ASKED.margin, "the queue ends the job then"


def test_a_queue_that_does_not_take_it_again_is_told(run, records, monkeypatch):
    monkeypatch.setattr("geomob_dask.submissions.driver.time.sleep", lambda seconds: None)
    assert run("walltime", Queue(refuses=True))._conclude(1, Said(), 3) == 1
    assert "does not answer" in records.known().of("ended")[1]["error"]
    assert stands(records).phase == "failed"


@pytest.fixture
def controller(tmp_path, monkeypatch):
    """Return the folder of a Slurm whose controller takes jobs and answers late, and the records of a driver in it.

    `sbatch` takes a job and fails, as when its socket has timed out; `away` has it take none and `squeue` fail.
    """
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    monkeypatch.setattr(driver.time, "sleep", lambda seconds: None)
    (tmp_path / "jobs").write_text("7\n")
    away = f"test -e {tmp_path}/away && echo 'Unable to contact slurm controller' >&2 && exit 1\n"
    take = f"cat >/dev/null; echo $((7 + $(wc -l <{tmp_path}/jobs))) >>{tmp_path}/jobs\n"
    for name, text in (
        ("sbatch", f"{away}{take}echo 'Socket timed out on send/recv operation' >&2; exit 1\n"),
        ("squeue", f"{away}test $3 = --name=geomob-{ASKED.id} || exit 1\ncat {tmp_path}/jobs\n"),
    ):
        (tmp_path / name).write_text(f"#!/bin/sh\n{text}")
        (tmp_path / name).chmod(0o755)
    return tmp_path


def test_a_job_that_the_queue_took_without_an_answer_is_not_submitted_twice(run, records, controller):
    records.note("number", 1, number="7")
    here = replace(records.known(), asked=replace(ASKED, folder=str(controller)))
    assert run("walltime", PLACES["slurm"], here)._conclude(1, Said(), 3) == 75
    assert (controller / "jobs").read_text() == "7\n8\n"
    assert records.known().number == "8", "not this job, which has the same name"


def test_a_queue_that_is_asked_whether_it_took_a_job_and_does_not_answer_is_told(run, records, controller):
    (controller / "away").touch()
    here = replace(records.known(), asked=replace(ASKED, folder=str(controller)))
    assert run("walltime", PLACES["slurm"], here)._conclude(1, Said(), 3) == 75
    assert "whether it was taken is not known" in records.known().of("ended")[1]["error"]
    assert stands(records).phase == "queued", "it may begin yet"


@pytest.mark.parametrize(
    ("kind", "command", "answer"),
    [
        ("slurm", "squeue", "7\n8\n"),
        ("pbs", "qselect", "7.head\n8.head\n"),
        ("lsf", "bjobs", "7\n8\n"),
        (
            "sge",
            "qstat",
            "job-ID  prior   name\n----\n"
            "      7 0.555 geomob-bac me r 11/30/2026 02:15:00 all.q@n1 1\n       Full jobname:     geomob-backfill-1\n"
            "       Hard Resources:   h_vmem=4G\n"
            "      9 0.555 geomob-bac me qw 11/30/2026 02:15:00 1\n       Full jobname:     geomob-backfill-10\n"
            "      8 0.555 geomob-bac me qw 11/30/2026 02:15:00 1\n       Full jobname:     geomob-backfill-1\n",
        ),
    ],
)
def test_each_queue_tells_which_jobs_have_the_name_of_a_submission(tmp_path, monkeypatch, kind, command, answer):
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    (tmp_path / "answer").write_text(answer)
    (tmp_path / command).write_text(f"#!/bin/sh\ncat {tmp_path}/answer\n")
    (tmp_path / command).chmod(0o755)
    end = ".head" if kind == "pbs" else ""
    assert PLACES[kind].there(ASKED, {f"7{end}"}) == f"8{end}"
    assert PLACES[kind].there(ASKED, {f"7{end}", f"8{end}"}) == ""


def test_only_one_of_two_submits_it_again(run, records, monkeypatch):
    place = Queue()
    late = run("walltime", place)
    records.note("sent", 2)
    assert late._conclude(1, Said(), 3) == 75
    assert not place.sent, "another has"
    assert records.known().of("ended")[1]["outcome"] == "continued"
    with pytest.raises(RunError, match="somebody else has just submitted it again"):
        send(records, ASKED, place, 2)


def test_a_record_whose_writing_was_not_acknowledged_is_still_ones_own(records, monkeypatch):
    create = Objects.create
    monkeypatch.setattr(Objects, "create", lambda self, key, data: create(self, key, data) and False)
    assert records.note("sent", 1)
    monkeypatch.setattr(Objects, "create", lambda self, key, data: False)
    assert not records.note("sent", 1)


def test_a_driver_that_submits_itself_while_it_is_cancelled_ends_too(records, monkeypatch):
    begun(records)
    records.live(run=1, line="x")
    ended = []

    class Again(Queue):
        """A queue whose driver has looked for the record before, and submits the next one after it is written."""

        def end(self, asked, number, *, began):
            ended.append((number, began))

        def state(self, asked, number):
            return State("queued", "Priority")

    def sleep(seconds):
        if records.note("sent", 2):
            records.note("ended", 1, outcome="continued", code=1, error="interrupted")
        else:
            records.note("number", 2, number="8")

    monkeypatch.setattr("geomob_dask.submissions.submitting.time.sleep", sleep)
    monkeypatch.setattr("geomob_dask.submissions.submitting.place_named", lambda name: Again())
    store = SimpleNamespace(objects=records.objects)
    assert cancel(store, ASKED.id).phase == "cancelled"
    assert ended == [("7", True), ("8", False)]
    assert records.is_cancelled(2)


def test_the_wall_time_runs_since_the_job_began(run):
    place = Queue()
    assert not run("", place)._near_end(time.monotonic())
    signals = Signals()
    signals.near_end = signals.ended = False
    late = Run(run("", place).records, run("", place).records.known(), place, signals, before=3500.0)
    assert late._near_end(time.monotonic())
    assert 0 <= driver._lasted() < time.monotonic()


# What a queue took whose submitter failed -----------------------------------------------------


@dataclass
class Taking(Queue):
    """A queue that takes a job, whatever becomes of whoever submits it."""

    breaks: BaseException | None = None
    ended: list[str] = field(default_factory=list)

    def send(self, asked: Asked) -> str:
        number = super().send(asked)
        if self.breaks is not None:
            raise self.breaks
        return number

    def there(self, asked: Asked, known: Collection[str]) -> str:
        return "1" if self.sent else ""

    def end(self, asked: Asked, number: str, *, began: bool) -> None:
        self.ended.append(number)


def submitted_to(place, objects):
    return submit(SimpleNamespace(objects=objects), replace(ASKED, log=""), place, SerialSection())


@pytest.mark.parametrize("taken", ["number", "interrupt"])
def test_what_a_queue_took_ends_where_its_submitter_is_told_that_it_failed(tmp_path, monkeypatch, taken):
    """Its records stay: without them it could neither be seen nor cancelled."""
    objects, place = Objects(tmp_path), Taking()
    if taken == "number":
        create = Objects.create

        def away(self, key, data):
            if "/number-" in key:
                raise StoreError("the bucket does not answer")
            return create(self, key, data)

        monkeypatch.setattr(Objects, "create", away)
        expected = pytest.raises(RunError, match=r"submission backfill-1: Slurm job 1: the bucket .*it is cancelled")
    else:
        place.breaks = KeyboardInterrupt()
        expected = pytest.raises(KeyboardInterrupt)
    with expected:
        submitted_to(place, objects)
    assert place.ended == ["1"]
    records = Records(objects, ASKED.id)
    assert records.is_cancelled(1), "should it begin before it is out of the queue"
    assert standing_of(records.known(), place).phase == "cancelled"


def test_what_a_queue_refused_leaves_no_record(tmp_path):
    with pytest.raises(RunError, match="does not answer"):
        submitted_to(Queue(refuses=True), Objects(tmp_path))
    assert not Objects(tmp_path).names(f"submissions/{ASKED.id}")


def test_what_a_busy_queue_may_have_taken_is_cancelled(tmp_path, controller):
    (controller / "away").touch()
    here = replace(ASKED, folder=str(controller), log="")
    with pytest.raises(RunError, match=r"Unable to contact.*whether it was taken is not known.*it is cancelled"):
        submit(SimpleNamespace(objects=Objects(tmp_path)), here, PLACES["slurm"], SerialSection())
    assert Records(Objects(tmp_path), ASKED.id).is_cancelled(1)


def test_a_driver_here_whose_log_cannot_be_written_is_not_submitted(tmp_path):
    log = tmp_path / "a.log"
    log.mkdir()
    here = replace(ASKED, folder=str(tmp_path), log=str(log))
    with pytest.raises(RunError, match=r"a.log: Is a directory; expected a file that can be written"):
        submit(SimpleNamespace(objects=Objects(tmp_path)), here, Session(), SerialSection())
    assert not Objects(tmp_path).names(f"submissions/{ASKED.id}")


def test_what_is_resumed_has_the_wall_time_that_the_cluster_file_has_now(tmp_path, monkeypatch):
    """It failed because its wall time was too short for one output."""
    monkeypatch.chdir(tmp_path)
    place = PLACES["slurm"]
    monkeypatch.setattr(type(place), "send", lambda self, asked: str(len(asked.script)))

    def write(**driver):
        section = {"kind": "serial", "driver": {"kind": "slurm", "account": "census", **driver}}
        Path("cluster.yaml").write_text(yaml.safe_dump({"clusters": {"node": section}}))

    write(walltime="1h")
    settings = load_settings(store=str(tmp_path / "store"), cluster="node")
    asked, _ = prepared("backfill", Path("backfill.py"), ["night.yaml"], settings, Store.of(settings), None)
    store = Store(settings.store)
    submit(store, asked, place, settings.section)
    records = Records(store.objects, asked.id)
    assert records.begin(sent=1, host="n1", number="7") == 1
    records.note("ended", 1, outcome="failed", code=1, error="walltime of driver in cluster.yaml is too short for one")
    write(walltime="8h", margin="5 minutes", attempts=7)
    known, _ = resume(store, asked.id)
    anew = records.known().asked
    assert (known.asked.walltime, anew.walltime, anew.margin, anew.attempts) == (3600.0, 28800.0, 300.0, 7)
    assert "#SBATCH --time=08:00:00" in anew.script
    assert replace(anew, script=asked.script, walltime=3600.0, margin=120.0, attempts=3) == asked
    send(records, anew, place, 3)
    assert records.known().asked == anew, "and so has what it submits itself at the end of its wall time"
    records.note("cancel", 3)
    Path("cluster.yaml").write_text("clusters: {node: {kind: serial}}")
    with pytest.raises(InputError, match=r"clusters.node: its driver is a process now; expected a Slurm job"):
        resume(store, asked.id)
    assert records.known().last("sent") == 3


# Which job runs it --------------------------------------------------------------------------


@pytest.fixture
def started(records, monkeypatch):
    """Return a function that starts the driver in a job; it returns the exit code, 0 where the driver runs."""
    monkeypatch.setattr(Signals, "__init__", lambda self: None)
    Signals.near_end = Signals.ended = False
    ran = []

    def carry_out(self):
        ran.append((self.place.here(), self.sent))
        return 0

    monkeypatch.setattr(Run, "carry_out", carry_out)

    def start(place):
        monkeypatch.setattr("geomob_dask.submissions.driver.place_named", lambda name: place)
        return driver.main(str(records.objects.root), ASKED.id)

    yield start, ran
    del Signals.near_end, Signals.ended


@pytest.mark.parametrize("first", ["7", "8"])
def test_a_displaced_job_that_the_queue_starts_again_and_the_one_it_submitted_run_once(
    records, started, monkeypatch, first
):
    """Slurm ends job 7, which submits itself as 8, and starts 7 again."""
    monkeypatch.setattr(driver.time, "sleep", lambda seconds: pytest.fail("it holds a node and does nothing"))
    begun(records)
    records.note("ended", 1, outcome="continued", code=1, error="interrupted")
    records.note("sent", 2)
    records.note("number", 2, number="8")
    start, ran = started
    second = {"7": "8", "8": "7"}[first]
    assert start(Queue(number=first)) == 0
    records.live(run=2, line="x")
    assert start(Queue(number=second)) == 75, "the other one runs"
    records.note("ended", 2, outcome="continued", code=1, error="interrupted")
    assert start(Queue(number=second)) == 75, "the other one may come back"
    assert ran == [(first, 2)]
    assert records.known().number == first, "what --status asks the queue about, and --cancel ends"
    assert start(Queue(number=first)) == 0, "its node failed, and the queue started it again"


def test_a_pod_that_is_started_again_under_another_name_goes_on(records, started):
    records.note("sent", 1)
    start, ran = started
    for name in ("geomob-x-1", "geomob-x-2"):
        assert start(Queue(number=name, elsewhere=True)) == 0
    assert ran == [("geomob-x-1", 1), ("geomob-x-2", 1)]


def test_a_job_that_waits_for_its_turn_can_be_ended(records, started, monkeypatch):
    """Its node is out of sight, and may still run it."""
    begun(records)
    records.live(run=1, line="x")
    start, ran = started

    def ended(seconds):
        monkeypatch.setattr(Signals, "ended", True)

    monkeypatch.setattr(driver.time, "sleep", ended)
    assert start(Queue()) == 130
    monkeypatch.setattr(Signals, "ended", False)
    monkeypatch.setattr(driver.time, "sleep", lambda seconds: records.note("cancel", 1))
    assert start(Queue()) == 130
    assert not ran


# Queues --------------------------------------------------------------------------------------


def test_what_was_sent_is_written_down_before_and_after(records):
    assert send(records, ASKED, Queue(), 1) == "1"
    known = records.known()
    assert (known.last("sent"), known.number) == (1, "1")


@pytest.mark.parametrize("kind", ["slurm", "pbs", "lsf", "sge"])
def test_a_script_of_each_queue_begins_with_its_directives(kind):
    driver = Driver(queue="normal", account="census", memory="3GiB", setup=["module load python"])
    lines = PLACES[kind].text(ASKED, driver, SerialSection(), []).splitlines()
    directives = [line for line in lines if line.startswith(PLACES[kind].directive)]
    assert lines[0] == "#!/usr/bin/env bash"
    assert lines[1 : 1 + len(directives)] == directives
    text = "\n".join(directives)
    assert all(word in text for word in ("normal", "census", "3072", ASKED.log, "01:00"))
    assert "module load python" in lines
    assert "-V" not in text.split(), "variables would be shown to every user"
    assert lines[-1].startswith("exec ")


@pytest.mark.parametrize("kind", ["slurm", "pbs", "lsf", "sge"])
def test_a_log_in_a_folder_with_spaces_is_one_word(kind):
    def text(log):
        return PLACES[kind].text(replace(ASKED, log=log), Driver(), SerialSection(), [])

    log = "/home/me/my study/backfill-1.log"
    lines = text(log).splitlines()
    words = [word for line in lines if line.startswith(PLACES[kind].directive) for word in shlex.split(line[1:])]
    assert log in words or f"--output={log}" in words
    with pytest.raises(InputError, match=r"found \\ in its path"):
        text("/home/me/my\\study/backfill-1.log")


def test_a_log_that_grid_engine_would_write_elsewhere_is_refused():
    """It drops the quote, whatever stands around it, and takes what is before a colon for a host."""
    for folder, found in (("my study's", "'"), ("a:b", ":"), ("a,b:c", ": ,")):
        with pytest.raises(InputError, match=f"found {found} in its path, which a SGE job cannot have"):
            PLACES["sge"].text(replace(ASKED, log=f"/home/{folder}/a.log"), Driver(), SerialSection(), [])
    lines = PLACES["slurm"].text(replace(ASKED, log="/my study's/a.log"), Driver(), SerialSection(), []).splitlines()
    assert ["--output=/my study's/a.log"] in [shlex.split(line)[1:] for line in lines if "--output" in line]


def test_a_driver_of_several_cores_needs_a_parallel_environment_of_grid_engine():
    workers = {"workers": 2, "memory": "4GiB", "walltime": "2h"}
    cores = {"cores": 4, "memory": "8GiB"}
    with pytest.raises(InputError, match="driver: cores 4 without parallel_environment; expected the site's"):
        driver_of(SgeSection(**workers, driver=cores))
    for section in (
        SgeSection(**workers, driver={**cores, "parallel_environment": "smp"}),
        SgeSection(**workers, parallel_environment="smp", driver=cores),
        SerialSection(driver=Driver(kind="sge", parallel_environment="smp", **cores)),
    ):
        lines = PLACES["sge"].text(ASKED, driver_of(section), section, []).splitlines()
        assert {"#$ -pe smp 4", "#$ -l h_vmem=2048M"} <= set(lines), "memory is that of a slot"
    alone = SgeSection(**workers, parallel_environment="smp", driver={"memory": "8GiB"})
    assert "#$ -l h_vmem=8192M" in PLACES["sge"].text(ASKED, driver_of(alone), alone, []).splitlines()


@pytest.mark.parametrize("kind", ["slurm", "lsf"])
def test_a_driver_is_charged_as_the_jobs_of_its_user_are(tmp_path, monkeypatch, kind):
    """What the queue gave the job that submits it is not passed on."""
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    command, answer = {"slurm": ("sbatch", "7"), "lsf": ("bsub", "Job <7> is submitted")}[kind]
    (tmp_path / command).write_text(f"#!/bin/sh\nenv >{tmp_path}/variables\necho '{answer}'\n")
    (tmp_path / command).chmod(0o755)
    theirs = {
        "SBATCH_ACCOUNT": "census",
        "SBATCH_PARTITION": "long",
        "LSB_DEFAULTPROJECT": "census",
    }
    queues = {"SLURM_MEM_PER_NODE": "9", "SBATCH_TIMELIMIT": "1", "LSB_JOBID": "7", "SLURM_JOB_ACCOUNT": "x"}
    for name, value in {**theirs, **queues}.items():
        monkeypatch.setenv(name, value)

    def given(**driver):
        script = PLACES[kind].text(ASKED, Driver(**driver), SerialSection(), [])
        assert PLACES[kind].send(replace(ASKED, folder=str(tmp_path), script=script)) == "7"
        return dict(line.partition("=")[::2] for line in (tmp_path / "variables").read_text().splitlines())

    found = given()
    assert {name: found.get(name) for name in theirs} == theirs
    assert not found.keys() & queues.keys()
    if kind == "slurm":
        for driver in ({"account": "mine"}, {"directives": ["-A mine"]}):
            assert "SBATCH_ACCOUNT" not in given(**driver), "it would win over the script"


def test_a_machine_without_the_commands_of_a_queue_says_so(monkeypatch):
    monkeypatch.setenv("PATH", "")
    assert "squeue: no such command" in PLACES["slurm"].state(ASKED, "7").reason
    with pytest.raises(SettingsError, match="sbatch: no such command"):
        PLACES["slurm"].send(replace(ASKED, folder="/"))


def test_a_margin_longer_than_half_of_the_wall_time_is_refused():
    section = SerialSection(driver=Driver(kind="slurm", walltime="3 minutes"))
    with pytest.raises(InputError, match="margin 2 minutes: expected at most half of walltime 3 minutes"):
        driver_of(section)


def test_what_a_driver_leaves_out_is_that_of_the_workers():
    workers = {"workers": 2, "memory": "4GiB", "walltime": "2h", "partition": "normal", "account": "census"}
    found = driver_of(SlurmSection(**workers, modules=["python"], setup=["echo"], driver={"cores": 3}))
    assert (found.queue, found.account, found.walltime, found.cores) == ("normal", "census", "2h", 3)
    assert found.setup == ("module load python", "echo")
    assert driver_of(SlurmSection(**workers, driver={"queue": "long", "setup": []})).queue == "long"


def test_a_driver_of_one_machine_names_its_queue():
    with pytest.raises(ValueError, match="found no kind"):
        SerialSection(driver=Driver())
