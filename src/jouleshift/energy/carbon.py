"""Joules to grams of CO₂ equivalent: how much a kilowatt-hour emits, by place.

Energy is what a search optimises; emissions are computed when reporting, because a constant factor cannot
change which network is better, and so a finished run can be read for another place. The figures are those
that CodeCarbon carries as files (no network is used), each with its year and source:

    DEU, DE, Germany      a country by ISO 3166 code or name                       Our World in Data, Ember
    US-CA, US-Texas       a state of the United States                             EPA eGRID
    CA-QC, CA-Ontario     a province of Canada, from its mix of fuels              CodeCarbon
    CN-BJ, SE1, NO4       a province of China, a Nordic bidding zone               MEE/NBS, ENTSO-E
    world                 the average of the world's electricity                   IEA
    120g                  a figure of the user's own, in g/kWh

They are not all of one kind: a country's figure covers the life cycle, a state's or province's only what
the chimneys emit. Compare like with like. What a data centre draws beside its computers, for cooling and
losses, is a factor on top, its power usage effectiveness (PUE). How the figure moves through a day, and when
to run, is in `schedule.py`. `place` puts all of it together as a user has set it.
"""

import json
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from jouleshift.energy.schedule import IntensitySeries
from jouleshift.errors import BadInput, nearest
from jouleshift.records import CarbonIntensity

_GRAMS_PER_KWH_OF_LB_PER_MWH = 453.59237 / 1000
_OWN = re.compile(r"(\d+(?:\.\d+)?)\s*g(?:/kWh)?", re.IGNORECASE)
_WORLD_YEAR = 2018
"""Year of the world average in CodeCarbon's data: IEA, Global Energy & CO2 Status Report 2019, on 2018."""

_FUELS_G_PER_KWH = {"coal": 995.725971, "petroleum": 816.6885263, "naturalGas": 743.8415916}
"""What CodeCarbon's own province figures rest on: emissions of burning, none for other sources."""
_PROVINCES = "fossil share of the province's mix in CodeCarbon, year not given by CodeCarbon"


def intensity(region: str) -> CarbonIntensity:
    """How much a kilowatt-hour emits in `region` (see the module's table; upper or lower case).

    Raises BadInput for a place that is not known, with the nearest that is.
    """
    text = region.strip()
    for find in (_own, _world, _part_of_country, _country):
        found = find(text)
        if found is not None:
            return found
    hint = nearest(text, _names())
    if "did you mean" not in hint:
        hint = " (give an ISO code such as DEU, a state such as US-CA, 'world', or a figure such as 120g)"
    raise BadInput(f"region {region!r}: no carbon intensity known{hint}")


def with_pue(intensity: CarbonIntensity, pue: float) -> CarbonIntensity:
    """The intensity of what computers use in a data centre of power usage effectiveness `pue`, 1 or more."""
    if not 1 <= pue < math.inf:
        raise BadInput(f"pue {pue!r}: power usage effectiveness is 1 or more (mostly 1.1 to 1.6)")
    return replace(intensity, pue=pue)


def place(settings: Mapping[str, Any], **given: Any) -> CarbonIntensity:
    """What `region`, `intensity` and `pue` in a study's or run's settings say, unless `given` says otherwise.

    A region that is given takes the settings' own intensity out of force, an intensity that is given their
    region's where that is a figure such as 120g. Raises BadInput, also for two figures at once.
    """
    stated = {name: value for name, value in given.items() if value is not None}
    kept = {name: value for name, value in settings.items() if name != "intensity" or "region" not in stated}
    whole = {"region": "world", "intensity": None, "pue": 1.0} | kept | stated
    own, region = whole["intensity"], whole["region"]
    if own is not None and _own(region.strip()) is not None:
        if ("region" in stated) == ("intensity" in stated):
            raise BadInput(f"region {region} and intensity {own} both say what a kWh emits: give one of them")
        region = "world"
    found = intensity(region) if own is None else _own_figure(str(own), region)
    return with_pue(found, whole["pue"])


def _own_figure(text: str, region: str) -> CarbonIntensity:
    """A number of g/kWh, or the mean of a CSV file of them; the region is but a name then."""
    name = "unnamed place" if region == "world" else region
    if text.lower().endswith(".csv"):
        return replace(IntensitySeries.load(Path(text)).whole, region=name)
    try:
        grams = float(text)
    except ValueError:
        grams = math.nan
    if not 0 <= grams < math.inf:
        raise BadInput(f"intensity {text!r}: give g CO₂eq/kWh, such as 35, or a CSV with time and g_per_kwh")
    return CarbonIntensity(grams, name, None, "given by the user")


def country_code(region: str) -> str | None:
    """The ISO 3166 code of three letters of a country that CodeCarbon knows, by code or name; else None."""
    countries, key = _countries(), region.strip()
    if key.upper() in countries:
        return key.upper()
    by_name = {str(entry["country_name"]).lower(): code for code, entry in countries.items()}
    if key.lower() in by_name:
        return by_name[key.lower()]
    if len(key) != 2:
        return None
    import pycountry

    match = pycountry.countries.get(alpha_2=key.upper())
    return match.alpha_3 if match is not None and match.alpha_3 in countries else None


def country_names() -> list[str]:
    """Codes and names that `country_code` knows, for hints."""
    return [*_countries(), *(str(entry["country_name"]) for entry in _countries().values())]


def _own(text: str) -> CarbonIntensity | None:
    match = _OWN.fullmatch(text)
    return None if match is None else CarbonIntensity(float(match[1]), text, None, "given by the user")


def _world(text: str) -> CarbonIntensity | None:
    if text.lower() != "world":
        return None
    sources = _data("carbon_intensity_per_source.json")
    origin = f"world average, {sources['world_average_source']}, in CodeCarbon"
    return CarbonIntensity(float(sources["world_average"]), "world", _WORLD_YEAR, origin)


def _country(text: str) -> CarbonIntensity | None:
    code = country_code(text)
    if code is None:
        return None
    entry = _countries()[code]
    grams = entry.get("carbon_intensity")
    if not grams:  # a zero in the data says that nobody counted
        raise BadInput(f"region {text!r}: no carbon intensity is known for {code}; give one, such as 120g")
    return CarbonIntensity(
        float(grams), code, entry.get("year"), "Our World in Data and Ember, in CodeCarbon"
    )


def _part_of_country(text: str) -> CarbonIntensity | None:
    prefix, _, name = text.partition("-")
    finders: dict[str, Callable[[str], CarbonIntensity | None]] = {
        "US": _state, "CA": _province, "CN": _chinese_province,
    }  # fmt: skip
    if name and prefix.upper() in finders:
        return finders[prefix.upper()](name.strip())
    zone = _data("nordic_emissions.json")["data"].get(text.upper())
    if zone is None or len(text) != 3:  # of FI, the country's own figure is the newer kind
        return None
    return CarbonIntensity(
        float(zone["emission_factor"]), text.upper(), zone["year"], "ENTSO-E generation mix, in CodeCarbon"
    )


def _state(name: str) -> CarbonIntensity | None:
    data = _data("2023/usa_emissions.json")
    for state, entry in data.items():
        code = entry.get("regionCode", "")
        if state.startswith("_") or name.lower() not in (state, code.lower()):
            continue
        grams = entry["emissions"] * _GRAMS_PER_KWH_OF_LB_PER_MWH
        source = data["_source"]
        return CarbonIntensity(grams, f"US-{code}", source["year"], f"{source['name']}, in CodeCarbon")
    return None


def _province(name: str) -> CarbonIntensity | None:
    import pycountry

    known = pycountry.subdivisions.get(country_code="CA")
    place = next((p for p in known if name.lower() in (p.code[3:].lower(), p.name.lower())), None)
    mix = None if place is None else _data("2023/canada_energy_mix.json").get(place.name.lower())
    if place is None or mix is None:
        return None
    grams = sum(mix[fuel] / mix["total"] * factor for fuel, factor in _FUELS_G_PER_KWH.items())
    return CarbonIntensity(grams, place.code, None, _PROVINCES)


def _chinese_province(name: str) -> CarbonIntensity | None:
    data = _data("2023/china_provincial_emissions.json")
    for code, entry in data["data"].items():
        if name.lower() in (code.removeprefix("CN-").lower(), *entry["names"]):
            origin = "MEE and NBS of China, announcement 2025 no. 47, in CodeCarbon"
            return CarbonIntensity(float(entry["emission_factor"]), code, entry["year"], origin)
    return None


def _names() -> list[str]:
    states = [
        f"US-{state.title()}" for state in _data("2023/usa_emissions.json") if not state.startswith("_")
    ]
    provinces = [f"CA-{province.title()}" for province in _data("2023/canada_energy_mix.json")]
    return [*country_names(), *states, *provinces, *_data("nordic_emissions.json")["data"], "world"]


def _countries() -> Mapping[str, Any]:
    return _data("global_energy_mix.json")


@cache
def _data(name: str) -> dict[str, Any]:
    """A file of CodeCarbon's private_infra data, read without importing CodeCarbon, which takes seconds."""
    spec = find_spec("codecarbon")
    if spec is None or not spec.submodule_search_locations:
        raise BadInput("carbon intensities come with the package codecarbon, which is not installed")
    path = Path(spec.submodule_search_locations[0]) / "data" / "private_infra" / name
    return json.loads(path.read_text(encoding="utf-8"))
