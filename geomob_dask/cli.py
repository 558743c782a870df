"""What all jobs share: options, errors as exit codes, tables to files."""

import functools
import inspect
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from importlib.metadata import version
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import distributed
import typer
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined
from rich.console import Console
from rich.markup import escape
from typer.core import TyperGroup

from geomob_dask import activity, ending
from geomob_dask.clusters import connect
from geomob_dask.errors import GeomobError
from geomob_dask.messages import counted, one_line, printable, shown, tell
from geomob_dask.options import Options, extra
from geomob_dask.outputs.csv_text import CSV_TEXT_HELP, CSV_TEXTS
from geomob_dask.outputs.result import EXPORT, EXPORT_TABLE
from geomob_dask.outputs.titles import TITLE_HELP, using_title
from geomob_dask.settings import Settings, load_limits, using_limits
from geomob_dask.sources.measure_names import LABELS_HELP, using_labels

# How help calls a number, and what a wrong one should have been.
_NUMBERS = {int: ("<int>", "a whole number"), float: ("<float>", "a number")}

StoreOption = Annotated[
    str | None,
    typer.Option("--store", help=escape("A folder or s3://bucket/prefix. [default: GEOMOB_STORE, cluster.yaml]")),
]
ClusterOption = Annotated[
    str | None, typer.Option("--cluster", help=escape("A section of cluster.yaml. [default: GEOMOB_CLUSTER, local]"))
]
HereOption = Annotated[str | None, typer.Option("--cluster", help="Not used: files are read where the command runs.")]
ConfigOption = Annotated[
    str | None, typer.Option("--config", help=escape("The cluster file. [default: ./cluster.yaml]"))
]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Print the plan, compute and write nothing.")]
EffectiveOption = Annotated[
    bool, typer.Option("--dry-run", help="Print the effective configuration of the cluster; start nothing.")
]
CheckOnlyOption = Annotated[
    bool, typer.Option("--dry-run", help="Read and check files, or list what would be fetched; write nothing.")
]
ExportOption = Annotated[str | None, typer.Option("--export", help=EXPORT.help)]
CsvTextOption = Annotated[str, typer.Option("--csv-text", help=CSV_TEXT_HELP, metavar="|".join(CSV_TEXTS))]
LabelsOption = Annotated[str | None, typer.Option("--labels", help=LABELS_HELP)]
TitleOption = Annotated[str | None, typer.Option("--title", help=TITLE_HELP)]
VerboseOption = Annotated[bool, typer.Option("--verbose", help="List the rows of every state.")]
StatesOption = Annotated[str | None, typer.Option("--states", help="Codes or letters, such as 18,39 or IN,OH.")]


def with_labels(command: Callable[..., None]) -> Callable[..., None]:
    """Return a command that shows names by the labels of its option ``labels``, and the title of its ``title``."""

    @functools.wraps(command)
    def labeled(**given: Any) -> None:
        with using_labels(given["labels"]), using_title(given["title"]):
            command(**given)

    return labeled


def export_option(polygons: bool) -> Any:
    """Return the annotation of ``--export`` of rows with or without polygons."""
    return ExportOption if polygons else Annotated[str | None, typer.Option("--export", help=EXPORT_TABLE.help)]


class _Heard(Console):
    """A console that notes when something was printed."""

    def print(self, *objects: Any, **how: Any) -> None:
        activity.spoke()
        super().print(*objects, **how)


console = _Heard(highlight=False, soft_wrap=True, emoji=False)


class WithDefault(TyperGroup):
    """Commands of which the first runs where none is named, as if it were the only one."""

    def default(self) -> str:
        """Return the name of the command that runs where none is named."""
        return next(iter(self.commands))

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Return the arguments, with the command in front."""
        named = bool(args) and args[0] in self.commands
        return super().parse_args(ctx, args if named else [self.default(), *args])

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        """Return the name of a command, the command and its arguments; the default's usage does not name it."""
        if args[0] not in self.commands:
            args = [self.default(), *args]
        name, found, rest = super().resolve_command(ctx, args)
        return "" if name == self.default() else name, found, rest


def application(help_text: str, examples: str, *, default: bool = False) -> typer.Typer:
    """Return an empty command line with a help text and examples below it.

    Parameters
    ----------
    default : bool
        Whether its first command runs where none is named.
    """
    # A single line break joins in the help's layout: every example is a paragraph of its own.
    epilog = "Examples:\n\n" + "\n\n".join(line.strip() for line in examples.strip().splitlines())
    return typer.Typer(
        add_completion=False,
        help=help_text,
        epilog=epilog,
        # The default command says what it expects.
        no_args_is_help=not default,
        pretty_exceptions_enable=False,
        cls=WithDefault if default else TyperGroup,
    )


def command(options: type[Options], run: Callable[..., None], **common: tuple[Any, Any]) -> Callable[..., None]:
    """Return a function that typer makes a command of: a flag for each option, and common flags.

    Parameters
    ----------
    options : type of Options
    run : callable
        Called with the values of the options, as a mapping, and the common flags by name.
    **common
        Annotation and default of each common flag.
    """

    def called(**values: Any) -> None:
        own = {name: values.pop(name) for name in options.model_fields}
        with using_limits(load_limits(values.get("config"))):
            run(own, **values)

    fields = {name: field_flag(name, field) for name, field in options.model_fields.items()}
    called.__signature__ = signature(fields | common)  # type: ignore[attr-defined]
    called.__annotations__ = {}
    return called


def signature(flags: Mapping[str, tuple[Any, Any]]) -> inspect.Signature:
    """Return the signature of a command from the annotation and default of each flag."""
    kind = inspect.Parameter.KEYWORD_ONLY
    return inspect.Signature(
        [
            inspect.Parameter(name, kind, annotation=annotation, default=default)
            for name, (annotation, default) in flags.items()
        ]
    )


def field_flag(name: str, field: FieldInfo, *more: str, kind: Any = None) -> tuple[Any, Any]:
    """Return the annotation and default of the flag of a field.

    Parameters
    ----------
    name : str
    field : FieldInfo
        Its description is the help, its alias the name of the flag.
    *more : str
        Further names of the flag.
    kind : type, optional
        Of what typer parses; found from the field by default.
    """
    about, text = extra(field), escape(field.description or "")
    default = field.get_default(call_default_factory=True)
    kind = kind or _flag_kind(field)
    if default is PydanticUndefined:
        default = inspect.Parameter.empty
    elif isinstance(default, tuple):
        default = ",".join(map(str, default))
    elif kind is str and default is not None:
        default = str(default)
    flag = f"--{(field.alias or name).replace('_', '-')}"
    if about.get("argument"):
        info: Any = typer.Argument(help=text)
    else:
        kept = {"metavar": _choices(field)} | parsed_as(kind)
        info = typer.Option(flag, *more, help=text, envvar=about.get("env"), **kept)
    return Annotated[kind if default is not None else kind | None, info], default


def parsed_as(kind: Any) -> dict[str, Any]:
    """Return how typer parses the flag of a number, with an error that says what was found; nothing for others."""
    if kind not in _NUMBERS:
        return {}
    metavar, expected = _NUMBERS[kind]

    def parse(text: str) -> Any:
        try:
            return kind(text)
        except ValueError:
            raise typer.BadParameter(f"found {shown(text)}, expected {expected}") from None

    return {"parser": parse, "metavar": metavar}


def _flag_kind(field: FieldInfo) -> Any:
    """Return what typer parses: numbers and switches; everything else is text that the options validate."""
    kinds = _kinds(field)
    if len(kinds) == 1 and kinds[0] in (bool, int, float):
        return kinds[0]
    several = extra(field).get("argument") or extra(field).get("repeated")
    return list[str] if several and get_origin(kinds[0]) is tuple else str


def _choices(field: FieldInfo) -> str | None:
    """Return the values to choose from, as help shows them."""
    kinds = _kinds(field)
    return "|".join(map(str, get_args(kinds[0]))) if get_origin(kinds[0]) is Literal else None


def _kinds(field: FieldInfo) -> tuple[Any, ...]:
    kinds = get_args(field.annotation) if get_origin(field.annotation) in (Union, UnionType) else (field.annotation,)
    plain = (get_args(kind)[0] if get_origin(kind) is Annotated else kind for kind in kinds)
    return tuple(kind for kind in plain if kind is not NoneType)


def command_line(app: typer.Typer) -> Any:
    """Return the command line of a job as typer parses it.

    The job and its commands have ``--version``, but for a command with an option of that name: the version of a cube.
    """
    if len(app.registered_commands) == 1:
        # Typer shows a lone command's own help and examples only.
        app.registered_commands[0].epilog = app.info.epilog
    made: Any = typer.main.get_command(app)
    if isinstance(made, WithDefault):
        made.commands[made.default()].epilog = app.info.epilog
    for one in (made, *getattr(made, "commands", {}).values()):
        if not any("--version" in param.opts for param in one.params):
            one.params.append(_version_option())
    return made


def _version_option() -> Any:
    """Return ``--version`` as typer makes it, taken from a command of its own."""
    app = typer.Typer(add_completion=False)

    @app.command()
    def only(shown: VersionOption = False) -> None:
        """Nothing."""

    return next(one for one in typer.main.get_command(app).params if one.name == "shown")


def _print_version(asked: bool) -> None:
    if asked:
        print(f"geomob-dask {version('geomob-dask')}")
        raise typer.Exit


VersionOption = Annotated[
    bool,
    typer.Option(
        "--version",
        is_eager=True,
        expose_value=False,
        callback=_print_version,
        help="Print the version of the package and exit.",
    ),
]


def typed(names: Sequence[str]) -> str:
    """Return which of a flag's names the command line has, the first if none; a message repeats what was typed.

    Examples
    --------
    >>> typed(["--year", "--years"])
    '--year'
    """
    given = {argument.split("=")[0] for argument in sys.argv[1:]}
    return next((name for name in names if name in given), names[0])


def main(app: typer.Typer) -> None:
    """Run a job; exit with 0, 1 (the run failed or was interrupted) or 2 (bad usage or input), and say why."""
    with ending.interruptible():
        try:
            _run_and_leave(app)
        except ending.Interrupted:
            _explain(f"interrupted; {ending.KEPT}")
            ending.leave(ending.INTERRUPTED, at_once=True)


def _run_and_leave(app: typer.Typer) -> None:
    """Run a job and leave the process; an interrupt may come until it is left, while an error is explained too."""
    try:
        with nullcontext() if console.is_terminal else activity.heard(lambda line: say([line])):
            command_line(app)()
    except ending.Interrupted:
        raise
    except GeomobError as error:
        _explain(str(error))
        ending.leave(error.exit_code)
    except SystemExit as end:
        ending.leave(end.code if isinstance(end.code, int) else int(end.code is not None))
    except BaseException as error:
        if not ending.is_out_of_memory(error):
            raise
        _explain(f"this process has no memory left ({one_line(error) or 'MemoryError'}); {ending.KEPT}")
        ending.leave(1, at_once=True)


def _explain(message: str) -> None:
    tell(f"error: {message}")


@contextmanager
def cluster(settings: Settings, *, small: bool = False) -> Iterator[distributed.Client | None]:
    """Yield a client, after saying where the dashboard is."""
    with ExitStack() as stage:
        stage.enter_context(activity.doing(f"starting cluster {settings.cluster}"))
        with connect(settings, small=small) as client:
            stage.close()
            _tell_of(settings, client)
            try:
                yield client
            finally:
                stage.enter_context(activity.doing(f"closing cluster {settings.cluster}"))


def _tell_of(settings: Settings, client: distributed.Client | None) -> None:
    if client is None:
        console.print("cluster: none, every task in this process")
    else:
        workers = client.scheduler_info(n_workers=-1)["workers"]
        found = counted(len(workers), "worker")
        if client.scheduler.address.startswith("inproc"):
            found = f"{counted(sum(worker['nthreads'] for worker in workers.values()), 'thread')} of this process"
        console.print(f"cluster: {settings.cluster}, {found}; dashboard: {client.dashboard_link}")


def say(lines: list[str]) -> None:
    """Print lines as they are."""
    for line in lines:
        console.print(printable(line), markup=False)
