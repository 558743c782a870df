"""The page itself: the dashboard's own frame and navigation bar, a tab a part, and nothing of any data.

What it shows is fetched by its scripts. The policy names the checksums of the scripts that the dashboard's frame has in
its HTML, so that no other text of the page can ever act.
"""

from __future__ import annotations

import base64
import hashlib
import os
import re
from typing import Any

from geomob_dask.explore.serving import Answer, Request

_SCRIPT = re.compile(r"<script>(.*?)</script>", re.DOTALL)
_ATTRIBUTE = re.compile(r"""\son[a-z]+=["']([^"']*)["']""")
_VOID = re.compile(r"""\shref=["']javascript:[^"']*["']""")


def page(request: Request) -> Answer:
    """Answer the page."""
    return request.cached(("page",), lambda: _page(request.explorer.scheduler))


def _page(scheduler: Any) -> Answer:
    from distributed.dashboard.components.scheduler import env
    from distributed.dashboard.scheduler import template_variables
    from jinja2 import ChoiceLoader, Environment, FileSystemLoader

    from geomob_dask.explore.routes import parts

    here = os.path.join(os.path.dirname(os.path.abspath(__file__)), "templates")
    frames = Environment(loader=ChoiceLoader([FileSystemLoader(here), env.loader]), autoescape=True)
    found = parts()
    scripts = list(dict.fromkeys(name for part in found for name in part.scripts))
    styles = list(dict.fromkeys(name for part in found for name in part.styles))
    html = frames.get_template("geomob.html").render(
        parts=found, scripts=scripts, styles=styles, **template_variables(scheduler)
    )
    # Links of the bar that only open a menu: the policy allows no address that is a script.
    html = _VOID.sub(' href="#" data-menu', html)
    return Answer.of(html.encode(), "text/html; charset=utf-8", policy=_policy(html))


def _policy(html: str) -> str:
    """Return the Content-Security-Policy of the page.

    It says nothing of who may frame the page: JupyterLab shows the dashboard's pages in frames.
    """
    texts = [*_SCRIPT.findall(html), *_ATTRIBUTE.findall(html)]
    sums = " ".join(sorted({f"'sha256-{_sum(text)}'" for text in texts}))
    return "; ".join(
        (
            "default-src 'none'",
            f"script-src 'self' 'unsafe-hashes' {sums}",
            "style-src 'self' 'unsafe-inline'",
            "img-src 'self' data: blob:",
            "font-src 'self' data:",
            "connect-src 'self'",
            "frame-src 'self'",
            "base-uri 'none'",
            "form-action 'none'",
        )
    )


def _sum(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
