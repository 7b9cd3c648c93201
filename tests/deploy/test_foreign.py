"""Networks of other libraries: layers with a forward pass of their own are read for what they do."""

import numpy as np
import pytest
import timm
import torch
import torch.nn.functional as F
import torchvision
from torch import Tensor, nn

from jouleshift.config import ShiftConfig
from jouleshift.conversion import convert
from jouleshift.deploy import nodes as p
from jouleshift.deploy.lower import lower, obstacle
from jouleshift.deploy.runtime import load
from tests.deploy.networks import images, shifted

FINE = ShiftConfig(weight_bits=4, act_integer_bits=10, act_fraction_bits=14)


class NormAct(nn.BatchNorm2d):
    """Norm, dropout and activation in one, as timm's BatchNormAct2d."""

    def __init__(self, channels: int, act: nn.Module) -> None:
        super().__init__(channels)
        self.drop, self.act = nn.Dropout(0.2), act

    def forward(self, x: Tensor) -> Tensor:
        torch._assert(x.ndim == 4, "expected images")
        if self.training:
            self.num_batches_tracked.add_(1)
        of_batch = self.training or self.running_mean is None
        known = (self.running_mean, self.running_var, self.weight, self.bias)
        return self.act(self.drop(F.batch_norm(x, *known, of_batch, self.momentum, self.eps)))


class OwnLinear(nn.Linear):
    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight, bias=self.bias)


def own(act: nn.Module) -> nn.Module:
    conv = nn.Conv2d(3, 6, 3, bias=False)
    return nn.Sequential(conv, NormAct(6, act), nn.Conv2d(6, 4, 3), nn.Flatten(), OwnLinear(64, 5))


def plain(act: nn.Module) -> nn.Module:
    """The same network of torch's own layers."""
    conv, norm = nn.Conv2d(3, 6, 3, bias=False), nn.Sequential(nn.BatchNorm2d(6), nn.Dropout(0.2), act)
    return nn.Sequential(conv, norm, nn.Conv2d(6, 4, 3), nn.Flatten(), nn.Linear(64, 5))


@pytest.mark.parametrize("act", [nn.ReLU(), nn.ReLU6(), nn.Hardtanh(0, 2), nn.Identity()], ids=str)
def test_layers_with_a_forward_pass_of_their_own_are_what_they_call(act):
    batch = images(8)
    programs = []
    for build, kept in ((own, {}), (plain, {"last": "float"})):
        torch.manual_seed(0)
        programs.append(lower(shifted(build(act), layers=kept), batch))
    assert [type(node) for node in programs[0].nodes] == [type(node) for node in programs[1].nodes]
    assert programs[0].all(p.ShiftLayer)[0].layer == "0" and programs[0].all(p.FloatLayer)[0].layer == "4"
    np.testing.assert_array_equal(*(program.run(batch.numpy()) for program in programs))


def test_a_norm_of_the_batch_is_no_norm_of_a_program():
    network = own(nn.ReLU())
    network[1].running_mean = network[1].running_var = None
    assert "running statistics" in obstacle(network, (3, 8, 8))


def test_a_sum_of_branches_starts_at_no_step():
    """Python's `sum` adds the first one to 0."""

    class Branches(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.stem, self.left, self.right = nn.Conv2d(3, 4, 1), nn.Conv2d(4, 5, 8), nn.Conv2d(4, 5, 8)

        def forward(self, x: Tensor) -> Tensor:
            x = F.relu(self.stem(x))
            return sum(branch(x) for branch in (self.left, self.right)).flatten(1)

    program = lower(shifted(Branches()), images(4))
    assert len(program.all(p.Add)) == 1 and len(program.all(p.ShiftLayer)) == 3


def built(name: str) -> nn.Module:
    torch.manual_seed(0)
    library, _, network = name.partition("/")
    if library == "timm":
        return timm.create_model(network, num_classes=5)
    return torchvision.models.get_model(network, num_classes=5, weights=None)


QUICK = ("timm/mobilenetv2_035", "timm/regnetx_002")
THOROUGH = (
    *("densenet121", "dla34", "dla46_c", "efficientnet_es", "efficientnet_lite0", "fbnetc_100", "gernet_s"),
    *("inception_v3", "legacy_xception", "mnasnet_050", "mnasnet_100", "mobilenetv1_100", "mobilenetv1_125"),
    *("mobilenetv2_050", "mobileone_s0", "regnetx_004", "repvgg_a0", "resnet10t", "resnet18", "resnet18d"),
    *(
        "resnet50",
        "resnetv2_18",
        "resnetv2_50",
        "resnext50_32x4d",
        "selecsls42b",
        "spnasnet_100",
        "vovnet39a",
    ),
    *("wide_resnet50_2", "xception41"),
)
THOROUGH_OF_TORCHVISION = (
    *("densenet121", "googlenet", "mnasnet0_5", "mobilenet_v2", "regnet_x_400mf", "resnet18"),
    *("resnext50_32x4d", "squeezenet1_1"),
)
LEAST_SIZE = {"timm/inception_v3": 96, "torchvision/googlenet": 64, "torchvision/regnet_x_400mf": 64}
SLOW_NAMES = [*(f"timm/{n}" for n in THOROUGH), *(f"torchvision/{n}" for n in THOROUGH_OF_TORCHVISION)]


@pytest.mark.parametrize("name", [*QUICK, *(pytest.param(n, marks=pytest.mark.slow) for n in SLOW_NAMES)])
def test_networks_of_other_libraries_need_no_float_layer(name):
    """Those that docs/deploy.md names."""
    size = LEAST_SIZE.get(name, 32)
    program = lower(shifted(built(name), size=size), images(4, size=size))
    batch = images(2, seed=7, size=size).numpy()
    assert not program.all(p.FloatLayer) and obstacle(built(name), (3, size, size)) == ""
    np.testing.assert_array_equal(load(program, "onnxruntime", threads=1)(batch), program.run(batch))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "factor"),
    [("mobilenetv2_035", 1), ("mobilenetv4_conv_small", 1), ("repvgg_a0", 0.4), ("mobileone_s0", 0.4)],
)
def test_with_fine_activations_they_compute_what_training_does(name, factor):
    """Where nothing saturates: small factors keep sums of several branches within the format."""
    model = convert(built(f"timm/{name}"), FINE).train()
    batch = images(16, size=32)
    with torch.no_grad():
        for norm in (module for module in model.modules() if isinstance(module, nn.BatchNorm2d)):
            norm.weight.fill_(factor)
        model(batch)
        wanted = model.eval()(batch[:4]).numpy()
    logits = lower(model, batch).run(batch[:4].numpy())
    assert np.abs(logits - wanted).max() < 0.02 * wanted.std()
