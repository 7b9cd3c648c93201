"""What a comparison needs of every peer: the default first, legal configurations, honest parents."""

import pytest
from benchmarks.search.peers import PEERS
from benchmarks.search.peers.cube import Cube
from ConfigSpace import Configuration

from jouleshift.hpo import make_scheduler
from jouleshift.space import build_space

PACKAGES = {"optuna": "optuna", "syne": "syne_tune", "neps": "neps", "botorch": "botorch"}
TRIALS = 12


def outcome(trial):
    bits = float(trial.config["weight_bits"])
    return {"error": 1 / (trial.budget + bits), "energy_j": 1e-6 * bits * float(trial.config["shift_depth"])}


@pytest.fixture(params=PEERS)
def trials(request):
    pytest.importorskip(PACKAGES[request.param.partition("-")[0]], exc_type=ImportError)
    space = build_space(20)
    peer = make_scheduler(PEERS[request.param], space, min_budget=1, max_budget=9, eta=3, seed=1)
    trials = []
    for _ in range(TRIALS):
        trials.append(peer.ask())
        peer.tell(trials[-1], outcome(trials[-1]))
    assert peer.running == ()
    return trials


def test_a_peer_starts_with_the_default_and_proposes_legal_configurations(trials):
    space = build_space(20)
    assert dict(trials[0].config) == dict(space.get_default_configuration())
    assert trials[0].budget == 9
    for trial in trials:
        legal = Configuration(space, values=dict(trial.config))
        assert trial.config == pytest.approx(dict(legal))
        assert trial.budget in (1, 3, 9)
    assert len({repr(sorted(trial.config.items())) for trial in trials}) > TRIALS // 3


def test_a_promoted_trial_names_a_shorter_trial_of_the_same_configuration(trials):
    by_id = {trial.id: trial for trial in trials}
    for trial in trials[1:]:
        if trial.parent is not None:
            assert by_id[trial.parent].config == trial.config
            assert by_id[trial.parent].budget < trial.budget


def test_the_nearest_configuration_of_a_configurations_point_is_itself():
    space = build_space(20)
    space.seed(0)
    cube = Cube(space)
    for configuration in space.sample_configuration(50):
        config = cube.configuration(cube.point(dict(configuration)))
        for name, value in configuration.items():
            assert config[name] == (pytest.approx(value) if isinstance(value, float) else value)
