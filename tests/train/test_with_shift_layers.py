"""The promises of training hold for the networks it is there for, stochastic rounding included."""

import pytest
import torch

from jouleshift import conversion, models
from jouleshift.config import ShiftConfig, TrainConfig
from jouleshift.train.loop import train
from tests.train.small_networks import same, state


def shift_network(kind, mode):
    torch.manual_seed(0)
    network = models.create("tiny", num_classes=2, in_channels=1)
    config = ShiftConfig(kind=kind, weight_bits=4, act_integer_bits=3, act_fraction_bits=5, mode=mode)
    return conversion.convert(network, config.model_copy(update={"rounding": "stochastic"}))


@pytest.mark.parametrize("mode", ["default", "reference"])
@pytest.mark.parametrize("kind", ["Q", "PS"])
def test_continuing_a_shift_network_equals_the_straight_run(kind, mode, data, tmp_path):
    config = TrainConfig(batch_size=32, learning_rate=0.01)
    straight, stopped, continued = (shift_network(kind, mode) for _ in range(3))
    whole = train(straight, data, config, epochs=3, horizon=3, seed=1)
    train(stopped, data, config, epochs=1, horizon=3, seed=1, checkpoint_out=tmp_path / "x.pt")
    torch.rand(7)
    rest = train(continued, data, config, epochs=3, horizon=3, seed=1, checkpoint_in=tmp_path / "x.pt")
    assert rest.trained_epochs == 2
    assert [p.val_loss for p in whole.curve] == [p.val_loss for p in rest.curve]
    assert same(state(straight), state(continued))
