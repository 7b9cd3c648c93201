"""How long the report of 10,000 trials takes to open in headless Chromium.

    python -m benchmarks.report_opening

Two figures: when the page is first painted (headline, tables and a drawing of the front wait for no script),
and when every script has run and the front can be played with. Each for a browser just started, where
plotly.js is compiled first, and for the same page opened again in it.
"""

import tempfile
from pathlib import Path

from selenium import webdriver
from tests.analysis.synthetic import hyperband_run
from tests.report.conftest import chromium

from benchmarks.measuring import environment, summary, write
from jouleshift.analysis.digest import digest
from jouleshift.records import CarbonIntensity
from jouleshift.report.html import page
from jouleshift.report.insight import insight

TRIALS, BROWSERS, AGAIN = 10_000, 9, 3
_MOMENTS = """
const painted = performance.getEntriesByName("first-contentful-paint")[0].startTime;
return [painted, performance.getEntriesByType("navigation")[0].domContentLoadedEventEnd];
"""


def opened(browser: webdriver.Chrome, path: Path) -> tuple[float, float]:
    """Seconds until the first paint, and until every script has run."""
    browser.get(path.as_uri())
    painted_ms, played_ms = browser.execute_script(_MOMENTS)
    return painted_ms / 1e3, played_ms / 1e3


def main() -> None:
    path = Path(tempfile.mkdtemp()) / "report.html"
    view = digest([hyperband_run(TRIALS)])
    stamp = CarbonIntensity(450.0, "world", 2023, "made up")
    path.write_text(page(view, stamp, "a made-up run", insight(view, trees=8)), encoding="utf-8")
    times: dict[str, list[float]] = {
        name: [] for name in ("painted", "ready", "painted again", "ready again")
    }
    for _ in range(BROWSERS):
        with chromium(tempfile.mkdtemp()) as browser:
            for again in ["", *[" again"] * AGAIN]:
                painted_s, ready_s = opened(browser, path)
                times[f"painted{again}"].append(painted_s)
                times[f"ready{again}"].append(ready_s)
            version = browser.capabilities["browserVersion"]
    found = {name: summary(values) for name, values in times.items()}
    write("report_opening", {"browser": version, "bytes": path.stat().st_size, "seconds": found})
    print(environment(), f"Chromium {version}", f"{path.stat().st_size} bytes", sep="\n")
    for name, of in found.items():
        print(f"{name:14} {of['median']:.2f} s ({of['q1']:.2f} to {of['q3']:.2f}), n = {of['n']}")


if __name__ == "__main__":
    main()
