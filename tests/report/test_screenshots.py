"""The whole page as pictures in the four ways people see it; set JOULESHIFT_SHOTS to a folder to keep them.

What a test can say of them is little: all figures are there, and the background is as light or dark as asked.
The rest is for eyes.
"""

import base64
import io
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from jouleshift.analysis.digest import digest
from jouleshift.report.html import light_page
from jouleshift.report.insight import insight
from tests.analysis.synthetic import hyperband_run
from tests.report.test_browser import PANELS, wait_for
from tests.report.test_page import WORLD

WAYS = {
    "light": (1280, "screen", "light"),
    "dark": (1280, "screen", "dark"),
    "narrow": (390, "screen", "light"),
    "print": (760, "print", "dark"),
}
"""Width in pixels, medium, and the colour scheme that the reader prefers; print is light all the same."""


def dress(browser, way):
    width, medium, scheme = WAYS[way]
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": medium, "features": features})
    size = {"width": width, "height": 1000, "deviceScaleFactor": 1, "mobile": width < 500}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)


def undress(browser):
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "", "features": []})
    browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def picture(browser, name):
    shot = {"format": "png", "captureBeyondViewport": True}
    size = browser.execute_cdp_cmd("Page.getLayoutMetrics", {})["cssContentSize"]
    shot["clip"] = {"x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1}
    content = base64.b64decode(browser.execute_cdp_cmd("Page.captureScreenshot", shot)["data"])
    if folder := os.environ.get("JOULESHIFT_SHOTS"):
        Path(folder).mkdir(parents=True, exist_ok=True)
        Path(folder, f"{name}.png").write_bytes(content)
    return np.asarray(Image.open(io.BytesIO(content)).convert("L"))


def is_light(pixels):
    """The background is what most pixels are."""
    return np.median(pixels) > 128


@pytest.mark.slow
@pytest.mark.parametrize("way", WAYS)
def test_the_page_as_a_picture(way, opened, browser):
    try:
        dress(browser, way)
        opened(hyperband_run(240), hyperband_run(240, seed=1), deep=True)
        for name in PANELS:
            node = browser.find_element("id", f"{name}-plot")
            browser.execute_script("arguments[0].scrollIntoView({behavior: 'instant'})", node)
            wait_for(lambda node=node: node.find_elements("css selector", "svg .trace, svg .bars"))
        pixels = picture(browser, way)
    finally:
        undress(browser)
    assert pixels.shape[1] <= WAYS[way][0]
    assert pixels.shape[0] > 4000
    assert is_light(pixels) == (way != "dark")


@pytest.mark.slow
@pytest.mark.parametrize("way", WAYS)
def test_the_light_page_as_a_picture(way, browser, tmp_path):
    view = digest([hyperband_run(240)])
    path = tmp_path / "report.html"
    path.write_text(light_page(view, WORLD, "a made-up run", insight(view, trees=8)), encoding="utf-8")
    browser.get_log("browser")
    try:
        dress(browser, way)
        browser.get(path.as_uri())
        pixels = picture(browser, f"without-scripts-{way}")
    finally:
        undress(browser)
    assert pixels.shape[1] <= WAYS[way][0], "nothing is wider than the page"
    assert is_light(pixels) == (way != "dark")
    assert browser.get_log("browser") == []
