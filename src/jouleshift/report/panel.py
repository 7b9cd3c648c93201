"""The shape of a panel of the page: a question as its lead, a figure that answers it, the same in words, and
the numbers behind it."""

from jouleshift.report.charts import Figure
from jouleshift.report.markup import Markup, element

Figures = dict[str, Figure]
"""Figures by the id of the place that waits for them; panels add theirs."""


def panel(name: str, heading: str, lead: str | Markup, *content: Markup | None) -> Markup:
    """A section under a heading with the id `name`."""
    return element(
        "section",
        element("h2", heading, id=name),
        element("p", lead, class_="lead"),
        *content,
        aria_labelledby=name,
    )


def place(name: str, figures: Figures, chart: Figure, words: str, size: str = "small") -> Markup:
    """Where the page's script draws a figure, which goes into `figures`; its words are read aloud for it."""
    figures[f"{name}-plot"] = chart
    return waiting(name, words, size)


def waiting(name: str, words: str, size: str = "small") -> Markup:
    """Where the page's script draws a figure of its own."""
    plot = element("div", id=f"{name}-plot", class_=f"plot {size}".strip(), role="img", aria_label=words)
    return element("figure", plot, element("figcaption", words))
