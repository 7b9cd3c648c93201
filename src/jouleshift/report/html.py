"""A run as one HTML file that needs nothing else: no network, no server, no package.

Words and tables are plain HTML, so the page can be read aloud, printed and searched; the figures are drawn
over them by plotly.js, which is inside the file and most of its 5 MB. `light_page` is the same without
figures to play with: the front as a drawing, tables, no script, some tens of kilobytes. All text from outside
is escaped (`markup`), and a content security policy in the page lets only the scripts that were written into
it run, by their hashes, and allows no connection at all.
"""

import base64
import hashlib
from importlib.resources import files

from jouleshift.analysis.digest import Digest
from jouleshift.records import CarbonIntensity
from jouleshift.report import sections
from jouleshift.report.course import cost
from jouleshift.report.front_section import front_figure, front_table
from jouleshift.report.insight import Insight
from jouleshift.report.markup import Markup, element, join, json_script
from jouleshift.report.matters import light_importance
from jouleshift.report.panels import panels
from jouleshift.report.payload import payload
from jouleshift.report.sentences import front_in_words
from jouleshift.report.sketch import front_sketch
from jouleshift.report.verified import verified_section


def page(
    view: Digest, intensity: CarbonIntensity, title: str, found: Insight | None = None, live: bool = False
) -> str:
    """The whole report as HTML text; with `live`, it loads itself anew while it is looked at."""
    from plotly.offline import get_plotlyjs

    scripts = [get_plotlyjs(), _own("page.js"), _own("panels.js")]
    found = found or Insight()
    below, figures = panels(view, found, intensity)
    leading = verified_section(view, figures)
    data = json_script(payload(view, intensity, found, figures))
    body = element(
        "body",
        element("a", "Skip to the front", href="#front", class_="skip"),
        sections.head(view, title, live),
        element("main", leading, _main(view, found, intensity, below)),
        element("footer", "Made by jouleshift. This file is complete: it opens offline and loads nothing."),
        element("div", id="tip", hidden=True, aria_hidden="true"),
        element("script", Markup(data), type="application/json", id="data"),
        [element("script", Markup(code)) for code in scripts],
    )
    return _document(title, body, scripts)


def light_page(view: Digest, intensity: CarbonIntensity, title: str, found: Insight | None = None) -> str:
    """The report without scripts as HTML text."""
    front = element(
        "section",
        element("h2", "Front", id="front"),
        element("figure", front_sketch(view), element("figcaption", front_in_words(view))),
        sections.stamp(view),
    )
    body = element(
        "body",
        sections.head(view, title, live=False),
        element(
            "main",
            verified_section(view),
            front,
            front_table(view, intensity, pick=False),
            light_importance(view, found.importance if found else None),
            cost(view, intensity),
            sections.failures(view),
            sections.facts(view),
        ),
        element("footer", "Made by jouleshift."),
    )
    return _document(title, body, [])


def _document(title: str, body: Markup, scripts: list[str]) -> str:
    header = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=_policy(scripts)),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("title", title),
        element("style", Markup(_own("page.css"))),
    )
    return "<!DOCTYPE html>\n" + element("html", header, body, lang="en") + "\n"


def _own(name: str) -> str:
    return files("jouleshift.report").joinpath(name).read_text(encoding="utf-8")


def _main(view: Digest, found: Insight, intensity: CarbonIntensity, below: Markup) -> Markup:
    return join(
        front_figure(view, found),
        front_table(view, intensity),
        below,
        sections.failures(view),
        sections.facts(view),
    )


def _policy(scripts: list[str]) -> str:
    """Only these scripts, styles of the page's own, pictures made by the page; no connections."""
    hashes = " ".join(f"'sha256-{_digest(code)}'" for code in scripts) or "'none'"
    rest = "style-src 'unsafe-inline'; img-src data: blob:; base-uri 'none'"
    return f"default-src 'none'; script-src {hashes}; {rest}"


def _digest(code: str) -> str:
    return base64.b64encode(hashlib.sha256(code.encode()).digest()).decode()
