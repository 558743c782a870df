"""What every job prints: its version, messages of bounded length, no control characters."""

import pickle
import runpy
from pathlib import Path

import pytest

from geomob_dask import cli
from geomob_dask.errors import InputError, RunError, StoreError

JOBS = Path(__file__).parents[2] / "jobs"
NAMES = sorted(path.stem for path in JOBS.glob("*.py"))


@pytest.mark.parametrize("name", NAMES)
def test_every_job_and_command_prints_its_version(job, name) -> None:
    from importlib.metadata import version

    app = runpy.run_path(str(JOBS / f"{name}.py")).get("app")
    named = [] if app is None else [one.name or one.callback.__name__ for one in app.registered_commands]
    commands = [(), *((one,) for one in named if len(named) > 1)]
    # These have a flag of that name of their own: a version of the cube.
    own = {("export",), ("tag",), ("change",), ("series",)} if name == "cube" else set()
    assert own <= set(commands)
    for command in set(commands) - own:
        done = job(name, *command, "--version")
        assert (done.code, done.out, done.err) == (0, f"geomob-dask {version('geomob-dask')}\n", "")


def failing(error: BaseException):
    app = cli.application("Fail.", "fail")

    @app.command()
    def fail() -> None:
        raise error

    return app


@pytest.mark.parametrize(("error", "code"), [(InputError, 2), (RunError, 1)])
def test_a_message_is_bounded_and_can_be_seen_whole(monkeypatch, capsys, error, code) -> None:
    monkeypatch.setattr("sys.argv", ["fail"])
    message = "file.csv: no column 'x'; found " + ", ".join(f"c{k}" for k in range(5000))

    def printed() -> str:
        with pytest.raises(SystemExit) as end:
            cli.main(failing(error(message)))
        assert end.value.code == code
        return capsys.readouterr().err

    short = printed()
    assert len(short.encode()) < 2200
    assert short.startswith("error: file.csv: no column 'x'; found c0, c1")
    assert short.count("\n") == 1
    assert "GEOMOB_FULL_ERRORS=1" in short
    monkeypatch.setenv("GEOMOB_FULL_ERRORS", "1")
    assert printed() == f"error: {message}\n"


def test_a_message_is_bounded_and_printable_where_no_command_prints_it(monkeypatch) -> None:
    for kind in (InputError, RunError, StoreError):
        error = kind("\x1b[2J\u202e\udcff" + "c" * 5000)
        assert str(error).startswith("\\x1b[2J\\u202e\\udcff")
        assert len(str(error)) < 2200
        assert pickle.loads(pickle.dumps(error)).args == error.args
    monkeypatch.setenv("GEOMOB_FULL_ERRORS", "1")
    assert len(str(error)) > 5000


def test_control_characters_are_written_out(monkeypatch, capsys) -> None:
    monkeypatch.setattr("sys.argv", ["fail"])
    with pytest.raises(SystemExit):
        cli.main(failing(InputError("a\x1b[31mb\x07\x9bc")))
    assert capsys.readouterr().err == "error: a\\x1b[31mb\\x07\\x9bc\n"
    cli.say(["x\x1b]0;title\x07y"])
    assert capsys.readouterr().out == "x\\x1b]0;title\\x07y\n"


def test_lines_are_printed_as_they_are(capsys) -> None:
    line = '{"title": ":warning:", "x": "[bold]y[/bold]"}'
    cli.say([line])
    assert capsys.readouterr().out == f"{line}\n"


def test_the_columns_of_a_wide_table_are_not_all_listed(job, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GEOMOB_CLUSTER", "serial")
    names = ["GEOID", *(f"measure_{k}" for k in range(3000))]
    row = ["91001000100", *map(str, range(3000))]
    Path("wide.csv").write_text(f"{','.join(names)}\n{','.join(row)}\n")
    ingest = ("ingest", "measures", "wide.csv", "--dataset", "wide", "--vintage", "2010", "--year", "2020")
    assert job(*ingest, "--store", "store").code == 0
    definition = "{name: d, population: people, domains: {a: [{measure: nope}]}, parameters: {recipe: svi}}"
    Path("d.yaml").write_text(definition)
    opportunity = ("opportunity", "--definition", "d.yaml", "--dataset", "wide", "--year", "2020")
    regions = ("ingest", "regions", "wide.csv", "--name", "r", "--vintage", "2010", "--region-column", "nope")
    for arguments in (opportunity, regions):
        done = job(*arguments, "--store", "store")
        assert done.code == 2, done
        assert "measure_0" in done.err
        assert "more characters" not in done.err
        assert len(done.err) < 2000


@pytest.mark.parametrize(
    ("arguments", "flag", "expected"),
    [
        (("ingest", "measures", "x.csv", "--year", "2017,2018"), "--year", "'2017,2018', expected a whole number"),
        (("segregation", "--dataset", "a", "--year", "2018", "--draws", "1e2"), "--draws", "'1e2', expected a whole"),
        (("exposure", "--dataset", "a", "--year", "2018", "--least", "few"), "--least", "'few', expected a number"),
    ],
)
def test_a_flag_that_is_no_number_says_what_was_found(job, arguments, flag, expected) -> None:
    done = job(*arguments)
    assert done.code == 2
    assert f"'{flag}'" in done.err
    assert expected in done.err
