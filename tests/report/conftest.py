import shutil
from contextlib import contextmanager

import pytest

FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND",
    "--window-size=1280,1000",
)


@contextmanager
def chromium(user_data: str):
    """Headless Chromium in which no name resolves, driven as a person would."""
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium")
    for flag in FLAGS:
        options.add_argument(flag)
    options.add_argument(f"--user-data-dir={user_data}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    made = webdriver.Chrome(options, webdriver.ChromeService(shutil.which("chromedriver")))
    try:
        yield made
    finally:
        made.quit()


@pytest.fixture(scope="session")
def browser(tmp_path_factory):
    if not shutil.which("chromium") or not shutil.which("chromedriver"):
        pytest.skip("needs chromium and chromium-driver")
    with chromium(str(tmp_path_factory.mktemp("chromium"))) as made:
        yield made


DRAWN = (
    "const plot = document.getElementById('front-plot');"
    "const started = plot?.classList.contains('js-plotly-plot');"
    "return !started || !!plot.querySelector('.scatterlayer path, .js-fill')"
)
"""Whether the figure of the front has its points, where it is drawn at all."""


@pytest.fixture
def opened(browser, tmp_path):
    """Write the page of runs and open it; afterwards the console must hold no error."""
    from selenium.webdriver.support.ui import WebDriverWait

    from jouleshift.analysis.digest import digest
    from jouleshift.records import CarbonIntensity
    from jouleshift.report.html import page
    from jouleshift.report.insight import insight

    def open_report(*runs, deep=False, **options):
        browser.get_log("browser")
        path = tmp_path / "report.html"
        view = digest(runs)
        found = insight(view, trees=8) if deep else None
        text = page(view, CarbonIntensity(450.0, "world", 2023, "made up"), "a made-up run", found, **options)
        path.write_text(text, encoding="utf-8")
        assert path.stat().st_size < 6_000_000
        browser.get(path.as_uri())
        WebDriverWait(browser, 10).until(lambda _: browser.execute_script(DRAWN))
        return browser

    yield open_report
    problems = [entry for entry in browser.get_log("browser") if entry["level"] in ("SEVERE", "WARNING")]
    assert problems == []
