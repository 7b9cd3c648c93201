"""Carbon intensities against the data they come from, and what is not known."""

import pytest

from jouleshift.energy.carbon import country_code, intensity, place
from jouleshift.errors import BadInput


@pytest.mark.parametrize("name", ["DEU", "deu", "DE", "de", "Germany", " germany "])
def test_a_country_by_any_of_its_names(name):
    found = intensity(name)
    assert found.region == "DEU"
    assert found.grams_per_kwh == pytest.approx(381, abs=60)  # Ember's Germany, of any recent year
    assert found.year is not None


def test_a_state_is_converted_from_pounds_per_megawatt_hour():
    """CodeCarbon has California at 394.769 lb/MWh (eGRID 2023): × 453.59237 g / 1000 kWh."""
    california = intensity("US-CA")
    assert california.grams_per_kwh == pytest.approx(394.769 * 0.45359237, rel=0.1)
    assert california.year == 2023
    assert "eGRID" in california.origin
    assert intensity("us-california") == california


def test_georgia_is_a_country_and_us_georgia_a_state():
    assert intensity("Georgia").region == "GEO"
    assert intensity("US-Georgia").region == "US-GA"


def test_a_province_is_what_codecarbon_would_say():
    """Quebec: 0.3 % petroleum and 0.2 % gas give the 3.94 g/kWh that trackers without a network assume."""
    quebec = intensity("CA-QC")
    assert quebec.grams_per_kwh == pytest.approx(3.94, abs=0.01)
    assert intensity("ca-quebec") == quebec
    assert intensity("CA-AB").grams_per_kwh > 100 * quebec.grams_per_kwh
    assert quebec.year is None and "year not given by CodeCarbon" in quebec.in_words


@pytest.mark.parametrize(("region", "low", "high"), [("SE1", 10, 60), ("CN-BJ", 400, 800), ("FRA", 20, 120)])
def test_other_places(region, low, high):
    found = intensity(region)
    assert low < found.grams_per_kwh < high
    assert found.year is not None


def test_the_world_has_a_year_and_a_source():
    world = intensity("world")
    assert world.grams_per_kwh == 475
    assert world.year == 2018
    assert "iea.org" in world.origin


@pytest.mark.parametrize(("text", "grams"), [("120g", 120.0), ("0.5 g/kWh", 0.5), ("33.3G", 33.3)])
def test_a_figure_of_the_users_own(text, grams):
    found = intensity(text)
    assert found.grams_per_kwh == grams
    assert found.origin == "given by the user"


def test_a_kilowatt_hour_emits_its_intensity():
    assert intensity("120g").emissions_g(3.6e6) == pytest.approx(120)


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("Germny", "did you mean 'Germany'"),
        ("Quebec", "did you mean 'CA-Quebec'"),
        ("US-Texs", "did you mean 'US-Texas'"),
        ("120", "120g"),
        ("US-ZZ", "."),
        ("xyzzy", "DEU"),
        ("", "DEU"),
        ("-5g", "120g"),
        ("CAF", "no carbon intensity is known for CAF"),
    ],
)
def test_an_unknown_place_is_one_line_with_a_way_out(text, hint):
    with pytest.raises(BadInput, match=hint) as caught:
        intensity(text)
    assert len(str(caught.value)) < 160


def test_country_codes():
    assert country_code("fr") == "FRA"
    assert country_code("world") is None
    assert country_code("US-CA") is None


RUN = {"region": "FRA", "intensity": 35.0, "pue": 1.2, "seed": 0}


def grams_of_a_kilowatt_hour(settings, **given):
    return place(settings, **given).emissions_g(3.6e6)


def test_a_place_is_region_own_figure_and_pue():
    assert place({}) == intensity("world")
    assert place({"region": "FRA"}) == intensity("FRA")
    assert grams_of_a_kilowatt_hour(RUN) == pytest.approx(35 * 1.2)
    assert place(RUN).in_words == "35 g CO₂eq/kWh (FRA; given by the user) × PUE 1.2"
    assert place({"intensity": 0}).emissions_g(1.0) == 0


def test_what_is_given_overrides_and_a_region_brings_its_own_figure():
    assert grams_of_a_kilowatt_hour(RUN, intensity=50, pue=None) == pytest.approx(50 * 1.2)
    assert grams_of_a_kilowatt_hour(RUN, pue=1.0) == pytest.approx(35)
    elsewhere = place(RUN, region="DEU", intensity=None)
    assert elsewhere.grams_per_kwh == intensity("DEU").grams_per_kwh
    assert elsewhere.pue == 1.2
    assert place(RUN, region="DEU", intensity="20").in_words.startswith("20 g CO₂eq/kWh (DEU;")


def test_one_figure_of_the_users_replaces_another_but_two_are_refused():
    assert (
        place({"region": "120g"}, intensity=35).in_words
        == "35 g CO₂eq/kWh (unnamed place; given by the user)"
    )
    assert place({"region": "FRA", "intensity": 35}, region="120 g").grams_per_kwh == 120
    with pytest.raises(BadInput, match="give one of them"):
        place({"region": "120g", "intensity": 35})


def test_a_file_through_time_is_its_mean(tmp_path):
    path = tmp_path / "grid.csv"
    path.write_text("time,g_per_kwh\n2026-05-01T00:00Z,100\n2026-05-01T03:00Z,300\n2026-05-01T04:00Z,300\n")
    found = place({"region": "SE1", "intensity": str(path)})
    assert found.grams_per_kwh == pytest.approx((3 * 100 + 300 + 300) / 5)
    assert (found.region, found.year) == ("SE1", 2026)
    assert "mean of grid.csv from 2026-05-01T00:00:00+00:00 to 2026-05-01T05:00:00+00:00" in found.origin


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"pue": 0.9}, "pue 0.9: power usage effectiveness is 1 or more"),
        ({"intensity": -1.0}, "intensity '-1.0': give g CO₂eq/kWh"),
        ({"intensity": "much"}, "intensity 'much': give"),
        ({"intensity": "nan"}, "intensity 'nan': give"),
        ({"intensity": "none.csv"}, "cannot read none.csv"),
        ({"region": "Frankreich"}, "Frankreich"),
        ({"region": "120g", "intensity": 35}, "region 120g and intensity 35 both say what a kWh emits"),
    ],
)
def test_a_wrong_place_is_one_line(given, message):
    with pytest.raises(BadInput, match=message):
        place({}, **given)
