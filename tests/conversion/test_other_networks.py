"""Our networks, torchvision's and timm's: converted, trained for a step, saved, loaded, same output."""

from functools import partial

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn
from torchvision import models as vision

from jouleshift import models
from jouleshift.config import ShiftConfig
from jouleshift.conversion import convert, convertible_layers, plan
from jouleshift.nn.layers import ShiftLayer


def vision_transformer():
    return vision.VisionTransformer(
        image_size=64, patch_size=16, num_layers=2, num_heads=2, hidden_dim=32, mlp_dim=64, num_classes=10
    )


def timm_model(name, **options):
    def build():
        timm = pytest.importorskip("timm")
        return timm.create_model(name, num_classes=10, **options)

    return build


NETWORKS = {
    "torchvision resnet18": lambda: vision.resnet18(num_classes=10),
    "torchvision mobilenet_v3": lambda: vision.mobilenet_v3_small(num_classes=10),
    "torchvision efficientnet": lambda: vision.efficientnet_b0(num_classes=10),
    "torchvision densenet": lambda: vision.densenet121(num_classes=10),
    "torchvision regnet": lambda: vision.regnet_y_400mf(num_classes=10),
    "torchvision vit": vision_transformer,
    "timm resnet10t": timm_model("resnet10t"),
    "timm mobilenetv3": timm_model("mobilenetv3_small_050"),
    "timm efficientnet": timm_model("efficientnet_lite0"),
    "timm convnext": timm_model("convnext_atto"),
    "timm densenet": timm_model("densenet121"),
    "timm vit": timm_model("vit_tiny_patch16_224", img_size=64),
    **{name: partial(models.create, name, num_classes=10) for name in models.names() if name != "tiny"},
}
ALWAYS = {
    ("torchvision resnet18", "Q"),
    ("torchvision mobilenet_v3", "PS"),
    ("timm efficientnet", "Q"),
    ("timm convnext", "PS"),
    ("timm vit", "Q"),
    ("torchvision regnet", "PS"),
    ("resnet32", "Q"),
    ("mobilenetv2", "PS"),
}
"""What every run of the tests converts; `-m slow` does the rest, each network both as Q and as PS."""
CASES = [
    pytest.param(name, kind, marks=() if (name, kind) in ALWAYS else pytest.mark.slow)
    for name in NETWORKS
    for kind in ("Q", "PS")
]


@pytest.mark.parametrize(("name", "kind"), CASES)
def test_convert_train_save_load(name, kind, tmp_path):
    torch.manual_seed(0)
    network = NETWORKS[name]()
    config = ShiftConfig(kind=kind, weight_bits=4, act_integer_bits=6, act_fraction_bits=10)
    model = convert(network, config)
    layers = [module for module in model.modules() if isinstance(module, ShiftLayer)]
    assert len(layers) == convertible_layers(network) > 5
    last = [parameter.clone() for parameter in layers[-1].latent.parameters()]
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    loss = nn.functional.cross_entropy(model(torch.randn(2, 3, 64, 64)), torch.tensor([1, 2]))
    loss.backward()
    optimizer.step()
    assert loss.isfinite()
    latents = [parameter for layer in layers for parameter in layer.latent.parameters()]
    assert all(parameter.grad is not None and parameter.isfinite().all() for parameter in latents)
    assert any(
        not torch.equal(old, new) for old, new in zip(last, layers[-1].latent.parameters(), strict=True)
    )
    save_file(model.state_dict(), tmp_path / "model.safetensors")
    loaded = convert(NETWORKS[name](), config)
    loaded.load_state_dict(load_file(tmp_path / "model.safetensors"))
    images = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        assert torch.equal(loaded.eval()(images), model.eval()(images))


def test_what_stays_float_in_a_vision_transformer_is_said():
    layers = plan(vision_transformer(), ShiftConfig())
    reasons = {layer.layer_type: layer.reason for layer in layers if not layer.converted}
    assert reasons == {
        "VisionTransformer": "no shift layer for this type",
        "Encoder": "no shift layer for this type",
        "MultiheadAttention": "no shift layer for this type",
        "NonDynamicallyQuantizableLinear": "attention reads its weight itself",
    }


def test_unsigned_inputs_are_found_in_other_peoples_networks():
    expected = {"torchvision resnet18": 20, "timm resnet10t": 10, "torchvision densenet": 120}
    for name, at_least in expected.items():
        layers = plan(NETWORKS[name](), ShiftConfig())
        assert sum(layer.unsigned_input for layer in layers) >= at_least, name
