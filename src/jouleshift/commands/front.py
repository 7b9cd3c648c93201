"""A run in the terminal: state, front against the default, and the result in a sentence."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

    from jouleshift.records import Run


def show_run(run: "Run", console: "Console") -> None:
    """State, front against the default, and the result in a sentence."""
    from jouleshift.analysis.digest import digest
    from jouleshift.energy.carbon import place
    from jouleshift.report.sentences import headline, state_in_words
    from jouleshift.report.tables import front_table

    view = digest([run])
    console.print(front_table(view, place(run.config), console.width))
    for sentence in (state_in_words(view), headline(view)):
        console.print(sentence, markup=False, highlight=False, soft_wrap=True)
