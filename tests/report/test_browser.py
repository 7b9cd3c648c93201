"""The report as a person meets it: in a browser, from a file, without a network."""

import json
import time
from dataclasses import replace

import pytest

from jouleshift.records import Failure
from jouleshift.report.tables import status
from tests.analysis.synthetic import hyperband_run, record, run_of
from tests.report.test_page import RUNS, hostile_run


def hover(browser, trial):
    """Move the mouse over the point of a trial of a single run."""
    from selenium.webdriver.common.action_chains import ActionChains

    marker = browser.execute_script(
        "const data = JSON.parse(document.getElementById('data').textContent);"
        "const at = data.trial.indexOf(arguments[0]);"
        "return [...document.querySelectorAll('#front-plot path.point')].find(p => p.__data__.data === at)",
        trial,
    )
    browser.execute_script("arguments[0].scrollIntoView({block: 'center', behavior: 'instant'})", marker)
    ActionChains(browser).move_to_element(marker).move_by_offset(1, 0).perform()


def hover_at(browser, selector):
    """Move the mouse to the middle of what a selector finds."""
    from selenium.webdriver.common.action_chains import ActionChains

    found = browser.find_element("css selector", selector)
    browser.execute_script("arguments[0].scrollIntoView({block: 'center', behavior: 'instant'})", found)
    ActionChains(browser).move_to_element(found).move_by_offset(1, 1).perform()


def wait_for(condition, seconds=5):
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "waited too long"
        time.sleep(0.02)


def test_draws_every_group_of_trials(opened):
    run = run_of(
        record(1, 0.4, 4e-9, bracket=-1),
        record(2, 0.3, 3e-9),
        record(3, 0.2, 5e-9),
        record(4, 0.9, 9e-9),
        *(record(n, 0.9, 1e-9 * n, budget=1) for n in range(5, 12)),
    )
    browser = opened(run)
    assert len(browser.find_elements("css selector", "#front-plot path.point")) == 11
    legend = [e.text for e in browser.find_elements("css selector", "#front-plot .legendtext")]
    assert legend == ["lower budget (7)", "dominated (1)", "front (2)", "default (1)"]


def test_hover_shows_the_configuration(opened):
    run = run_of(record(1, 0.4, 4e-9, bracket=-1), record(2, 0.3, 3e-9, config={"weight_bits": 3}))
    browser = opened(run)
    tip = browser.find_element("id", "tip")
    assert not tip.is_displayed()
    hover(browser, 2)
    wait_for(tip.is_displayed)
    text = tip.text.split("\n")
    assert text[0] == "trial 2, on the front"
    assert text[text.index("weight_bits") + 1] == "3"
    assert text[text.index("optimizer") + 1] == "SGD"
    assert text[text.index("energy") + 1] == "3 nJ"


def test_the_legend_hides_a_group(opened):
    browser = opened(hyperband_run(60))
    before = len(browser.find_elements("css selector", "#front-plot path.point"))
    browser.find_element("css selector", "#front-plot .legendtoggle").click()
    wait_for(lambda: len(browser.find_elements("css selector", "#front-plot path.point")) < before)


def test_table_rows_and_arrow_keys_pick_a_network(opened):
    from selenium.webdriver.common.keys import Keys

    browser = opened(hyperband_run(120))
    picked = browser.find_element("id", "picked")
    rows = browser.find_elements("css selector", "tr[data-point]")
    numbers = [row.find_element("tag name", "button").text for row in rows]
    rows[0].find_element("tag name", "button").send_keys(Keys.ENTER)
    assert picked.text.startswith(f"trial {numbers[0]},")
    assert rows[0].find_element("tag name", "button").get_attribute("aria-pressed") == "true"
    browser.find_element("id", "front-plot").send_keys(Keys.ARROW_LEFT)
    assert picked.text.startswith(f"trial {numbers[1]},")


def test_a_click_on_a_point_picks_its_row(opened):
    from selenium.webdriver.common.action_chains import ActionChains

    browser = opened(run_of(record(1, 0.4, 4e-9, bracket=-1), record(2, 0.3, 3e-9), record(3, 0.5, 2e-9)))
    pressed = lambda trial: browser.find_element(  # noqa: E731
        "css selector", f"tr[data-point='0-{trial}'] button"
    ).get_attribute("aria-pressed")
    for trial in (3, 2):
        hover(browser, trial)
        ActionChains(browser).click().perform()
        wait_for(lambda trial=trial: pressed(trial) == "true")
        assert browser.find_element("id", "picked").text.startswith(f"trial {trial},")
    assert pressed(3) == "false"


def test_keys_reach_the_front_and_what_they_pick_is_said(opened):
    from selenium.webdriver.common.keys import Keys

    browser = opened(
        run_of(
            record(1, 0.4, 4e-9, bracket=-1), record(2, 0.3, 3e-9), record(3, 0.5, 2e-9), record(4, 0.9, 9e-9)
        )
    )
    plot, said = browser.find_element("id", "front-plot"), browser.find_element("id", "front-said")
    assert (plot.get_attribute("role"), plot.get_attribute("tabindex")) == ("application", "0")
    assert plot.get_attribute("aria-label") and plot.get_attribute("aria-roledescription")
    assert "arrow keys" in browser.find_element("id", plot.get_attribute("aria-describedby")).text
    assert said.get_attribute("role") == "status"
    told = lambda: said.get_attribute("textContent")  # noqa: E731
    plot.send_keys(Keys.HOME)
    assert told() == "trial 3, on the front, 1 of 3 by energy: accuracy 50.0 %, energy 2 nJ"
    plot.send_keys(Keys.ARROW_RIGHT)
    assert told() == "trial 2, on the front, 2 of 3 by energy: accuracy 70.0 %, energy 3 nJ"
    plot.send_keys(Keys.END)
    assert told().startswith("trial 1, default configuration, 3 of 3")
    plot.send_keys(Keys.ARROW_RIGHT)
    assert told().startswith("trial 1,"), "there is nothing further right"


def test_the_ring_is_round_the_picked_network_on_a_logarithmic_axis_too(opened):
    browser = opened(run_of(record(1, 0.4, 1e-7, bracket=-1), record(2, 0.3, 1e-9)))
    middle = (
        "const box = [...document.querySelectorAll(arguments[0])].at(-1).getBoundingClientRect();"
        "return [box.x + box.width / 2, box.y + box.height / 2, box.width, box.height]"
    )
    ring = browser.execute_script(middle, "#front-plot .shapelayer path")
    dot = browser.execute_script(middle, "#front-plot .scatterlayer .trace:nth-last-child(2) path.point")
    assert ring[:2] == pytest.approx(dot[:2], abs=1.5)
    assert ring[2] == pytest.approx(ring[3], abs=1)


@pytest.mark.parametrize("name", ["no trial", "only failures", "zero energy"])
def test_opens_whatever_the_run(name, opened):
    browser = opened(RUNS[name])
    assert browser.execute_script("return document.documentElement.dataset.ready") == "yes"


PANELS = ("parallel", "along", "causes", "importance", "marginals", "weights", "curves", "progress")


def test_every_panel_is_drawn_when_it_comes_near(opened):
    browser = opened(hyperband_run(120), hyperband_run(120, seed=1), deep=True)
    for name in PANELS:
        node = browser.find_element("id", f"{name}-plot")
        browser.execute_script("arguments[0].scrollIntoView({block: 'center', behavior: 'instant'})", node)
        wait_for(lambda node=node: node.find_elements("css selector", "svg .trace, svg .bars"))
    assert "median run" in browser.find_element("css selector", "#front-plot .legend").text


def test_printing_draws_every_panel_though_none_was_looked_at(opened):
    browser = opened(hyperband_run(120), deep=True)
    drawn = "return arguments[0].filter(n => document.querySelector(`#${n}-plot svg :is(.trace, .bars)`))"
    assert browser.execute_script(drawn, PANELS) != list(PANELS)
    browser.execute_script("dispatchEvent(new Event('beforeprint'))")
    wait_for(lambda: browser.execute_script(drawn, PANELS) == list(PANELS))


def test_colour_and_filter_by_a_hyperparameter(opened):
    from selenium.webdriver.support.select import Select

    run = hyperband_run(120)
    browser = opened(run)
    Select(browser.find_element("id", "colour-by")).select_by_value("weight_bits")
    fills = (
        "return new Set([...document.querySelectorAll('#front-plot path.point')].map(p => p.style.fill)).size"
    )
    wait_for(lambda: browser.execute_script(fills) > 4)
    Select(browser.find_element("id", "filter-by")).select_by_value("optimizer")
    level = Select(browser.find_element("css selector", "#filter-to select"))
    level.select_by_visible_text("Ranger")
    wanted = sum(r.trial.config["optimizer"] == "Ranger" and status(r) == "done" for r in run.trials)
    wait_for(lambda: len(browser.find_elements("css selector", "#front-plot path.point")) == wanted)
    Select(browser.find_element("id", "filter-by")).select_by_value("weight_bits")
    low, high = browser.find_elements("css selector", "#filter-to input")
    low.clear()
    low.send_keys("8")
    wanted = sum(r.trial.config["weight_bits"] == 8 and status(r) == "done" for r in run.trials)
    wait_for(lambda: len(browser.find_elements("css selector", "#front-plot path.point")) == wanted)
    assert high.get_attribute("value") == "8"
    shown = [row for row in browser.find_elements("css selector", "tr[data-point]") if row.is_displayed()]
    assert all(" 8 " in row.text for row in shown)


def test_the_path_from_the_default_is_told(opened):
    browser = opened(hyperband_run(120), deep=True)
    picked = browser.find_element("id", "picked")
    picked.find_element("tag name", "summary").click()
    rows = picked.find_elements("css selector", "tbody tr")
    assert len(rows) == 11
    assert all("→" in row.text for row in rows)
    assert not browser.find_elements("id", "follow")


def test_a_live_page_follows_its_run_until_told_not_to(opened):
    browser = opened(hyperband_run(30), live=True)
    follow = browser.find_element("id", "follow")
    assert follow.is_selected()
    follow.click()
    browser.refresh()
    assert not browser.find_element("id", "follow").is_selected()


def test_hostile_text_is_only_text(opened, tmp_path):
    browser = opened(hostile_run(tmp_path), deep=True)
    assert browser.execute_script("return document.images.length") == 0
    hover(browser, 2)
    tip = browser.find_element("id", "tip")
    wait_for(tip.is_displayed)
    assert "</script><script>alert(1)</script>" in tip.text


def test_asks_the_network_for_nothing(opened):
    browser = opened(hyperband_run(60))
    browser.find_element("id", "front-plot")
    events = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    requests = [e["params"] for e in events if e["method"] == "Network.requestWillBeSent"]
    asked = [r["request"]["url"] for r in requests if r["documentURL"] == browser.current_url]
    assert browser.current_url in asked
    assert [url for url in asked if not url.startswith(("file:", "data:", "blob:", "chrome:"))] == []


def test_a_narrow_screen_does_not_scroll_sideways(opened):
    browser = opened(hyperband_run(60), run_of(record(1, failure=Failure("crashed", "x" * 300))))
    try:
        browser.execute_cdp_cmd(
            "Emulation.setDeviceMetricsOverride",
            {"width": 360, "height": 800, "deviceScaleFactor": 1, "mobile": True},
        )
        wait_for(lambda: browser.execute_script("return document.documentElement.scrollWidth <= 360"))
    finally:
        browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_ten_thousand_trials_open_and_can_be_pointed_at(opened):
    """How fast is in benchmarks/report_opening.py."""
    browser = opened(hyperband_run(10_000), deep=True)
    assert "lower budget (8879)" in browser.find_element("css selector", "#front-plot .legend").text
    hover_at(browser, "#front-plot .js-fill")
    wait_for(browser.find_element("id", "tip").is_displayed)
    assert "lower budget" in browser.find_element("id", "tip").text


def layered(number, energy_j, **options):
    """A trial whose energy is known by layer: two layers, two causes."""
    made = record(number, 0.4 - 0.1 * number, energy_j, **options)
    share = {"conv1": {"shifts": energy_j / 4}, "linear": {"adds": energy_j / 2, "shifts": energy_j / 4}}
    components = {"adds": energy_j / 2, "shifts": energy_j / 2}
    result = replace(made.result, energy=replace(made.result.energy, layers=share, components=components))
    return replace(made, result=result)


def test_the_picked_network_is_shown_layer_by_layer(opened):
    browser = opened(run_of(layered(1, 4e-9, bracket=-1), layered(2, 6e-9)))
    browser.execute_script("document.getElementById('layers-plot').scrollIntoView({behavior: 'instant'})")
    shown = "document.getElementById('layers-plot').data"
    sums = f"return {shown}?.map(t => [t.name, ...t.y.map(v => v.toPrecision(3))])"
    wait_for(lambda: browser.execute_script(sums))
    browser.find_element("css selector", "tr[data-point='0-1'] button").click()
    wait_for(lambda: "trial 1" in browser.find_element("id", "layers-of").text)
    causes = [["adds", "0.00", "2.00"], ["shifts", "1.00", "1.00"]]
    assert browser.execute_script(sums) == causes, "in the order, so the colours, of the figure above"
    browser.find_element("css selector", "tr[data-point='0-2'] button").click()
    wait_for(lambda: "trial 2" in browser.find_element("id", "layers-of").text)
    assert browser.execute_script(sums) == [["adds", "0.00", "3.00"], ["shifts", "1.50", "1.50"]]
    browser.find_element("css selector", "section[aria-labelledby='layers'] summary").click()
    table = [row.text for row in browser.find_elements("css selector", "#layers-table tr")]
    assert table == ["layer energy/nJ adds/nJ shifts/nJ", "conv1 1.5 0 1.5", "linear 4.5 3 1.5"]


def test_the_verified_front_is_drawn_first(opened):
    run = run_of(record(1, 0.4, 4e-9, bracket=-1), record(2, 0.3, 3e-9, config={"weight_bits": 3}))
    again = [
        replace(r, trial=replace(r.trial, seed=seed), result=replace(r.result, error=r.result.error + 0.02))
        for r in run.trials
        for seed in (1000, 2000)
    ]
    browser = opened(replace(run, verified=tuple(again)))
    first = browser.find_elements("css selector", "main section h2")[0]
    assert first.text == "The front, verified"
    wait_for(lambda: len(browser.find_elements("css selector", "#verified-plot path.point")) == 6)
    assert "judged on test images" in browser.find_element("css selector", ".headline").text
