"""Hooks of the site: pages from the top of the repository, links to its files, and no link without a page."""

import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[1]
# What stands at the top of the repository, and the page that it becomes.
PAGES = {"CHANGELOG.md": "changelog.md", "CONTRIBUTING.md": "contributing.md"}
_LINK = re.compile(r"\[([^\]]+)\]\((\.\./(?!\.)[^)#]+)\)")


def on_files(files: Files, config: Any) -> Files:
    """Add the pages from the top of the repository; their links to `docs/` become links beside them."""
    for source, page in PAGES.items():
        text = (ROOT / source).read_text(encoding="utf-8").replace("](docs/", "](")
        files.append(File.generated(config, page, content=text))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Name files of the repository outside of the site, which has no link to them; a file that is not there fails."""

    def named(match: re.Match[str]) -> str:
        target = (ROOT / "docs" / page.file.src_uri).parent / match[2]
        if target.resolve().is_relative_to(ROOT / "docs"):
            return match[0]
        if not target.exists():
            raise FileNotFoundError(f"{page.file.src_uri}: {match[2]}")
        return f"`{target.resolve().relative_to(ROOT).as_posix()}`"

    return _LINK.sub(named, markdown)


def on_post_page(output: str, page: Any, **_: Any) -> str:
    """Have `search_offline.js` in place of a script that the theme would fetch from another server."""
    return _without_shim(output, "../" * page.url.count("/"))


def on_post_template(output_content: str, template_name: str, **_: Any) -> str:
    """Do the same for pages of the theme."""
    return _without_shim(output_content, "")


def _without_shim(page: str, top: str) -> str:
    return page.replace('"https://unpkg.com/iframe-worker/shim"', f'"{top}search_offline.js"')
