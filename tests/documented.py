"""What the README and the pages of `docs/` tell a reader to type: each command, in order, with its place."""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("**/*.md"))]
_FENCE = re.compile(r"^ *```(\w*)")
# A block without a language may show output as well.
_TYPED = re.compile(r"^(?:[A-Z_]+=\S* )*(?:python|dask|ssh|make) ")
_VARIABLES = re.compile(r"^((?:[A-Z][A-Z0-9_]*=\S* )*)(.*)$")


@dataclass(frozen=True)
class Command:
    """A command of a page.

    Parameters
    ----------
    page : str
        Its path in the repository.
    line : int
        Number of its first line there.
    text : str
        The command as it is written, in one line; variables in front of it are left out.
    variables : dict
        Variables of the environment that stand in front of it.
    """

    page: str
    line: int
    text: str
    variables: tuple[tuple[str, str], ...] = ()

    @property
    def words(self) -> list[str]:
        """The words of the command; brackets are around what may be left out, and comments are not part of it."""
        return shlex.split(re.sub(r"(?<=\s)\[[^\]]*\]", "", self.text), comments=True)

    @property
    def job(self) -> str | None:
        """The job of `jobs/` that it runs."""
        words = self.words
        runs = words[0] == "python" and len(words) > 1 and words[1].startswith("jobs/")
        return Path(words[1]).stem if runs else None

    @property
    def arguments(self) -> list[str]:
        """The arguments of the job."""
        return self.words[2:]

    def __str__(self) -> str:
        return f"{self.page}:{self.line}: {self.text}"


def blocks(text: str) -> Iterator[tuple[str, int, list[str]]]:
    """Yield the blocks of code of a page: language (`indented` of those without a fence), number of a line, lines."""
    inside, language, first, lines = False, "", 0, []
    for number, line in enumerate(text.splitlines(), 1):
        fence = _FENCE.match(line)
        if fence and not inside:
            inside, language, first, lines = True, fence[1], number + 1, []
        elif fence:
            inside = False
            yield language, first, lines
        elif inside:
            lines.append(line)
        elif line.startswith("    ") and _TYPED.match(line.strip()):
            yield "indented", number, [line.strip()]


def commands_of(page: Path) -> list[Command]:
    """Return the commands of a page, in order."""
    found = []
    for language, first, lines in blocks(page.read_text(encoding="utf-8")):
        if language not in ("", "sh", "console", "indented"):
            continue
        joined = "\n".join(lines).replace("\\\n", "\\\0")
        number = first
        for line in joined.split("\n"):
            place, number = number, number + 1 + line.count("\0")
            text = re.sub(r"\\\0\s*", "", line)
            if language == "console":
                if not text.startswith("$ "):
                    continue
                text = text[2:]
            elif not text.strip() or text.startswith("#") or (language == "" and not _TYPED.match(text)):
                continue
            variables, command = _VARIABLES.match(text).groups()
            pairs = tuple(tuple(pair.split("=", 1)) for pair in variables.split())
            found.append(Command(page.relative_to(ROOT).as_posix(), place, command, pairs))
    return found


def files_of(page: Path) -> dict[str, str]:
    """Return the files that a page shows, by the name that stands behind the fence: ```yaml title="night.yaml"."""
    text = page.read_text(encoding="utf-8")
    return dict(re.findall(r'^```\w+ title="([^"]+)"\n(.*?)^```', text, flags=re.MULTILINE | re.DOTALL))


def yaml_blocks(page: Path) -> list[str]:
    """Return the blocks of YAML of a page."""
    return ["\n".join(lines) for language, _, lines in blocks(page.read_text(encoding="utf-8")) if language == "yaml"]
