"""The networks: sizes, shapes, names, and that the smallest one learns."""

import sys

import pytest
import torch
from sklearn.datasets import load_digits
from torch import nn

from jouleshift import models
from jouleshift.conversion import convertible_layers
from jouleshift.errors import BadInput

names = [
    pytest.param(name, marks=pytest.mark.slow) if name == "vgg16_224" else name for name in models.names()
]


def n_parameters(model):
    return sum(parameter.numel() for parameter in model.parameters())


def test_the_papers_shift_depths():
    """Its maxima are 20 and 53; GoogLeNet's 22 are a third of the convolutions (64)."""
    assert convertible_layers(models.create("resnet20", 10)) == 20
    assert convertible_layers(models.create("mobilenetv2", 10)) == 53
    assert convertible_layers(models.create("googlenet", 10)) == 65


@pytest.mark.parametrize(
    ("name", "convolutions", "parameters"),
    [
        # He et al. (2016) give 0.27, 0.46, 0.66 and 0.85 million
        ("resnet20", 19, 269_722),
        ("resnet32", 31, 464_154),
        ("resnet44", 43, 658_586),
        ("resnet56", 55, 853_018),
        ("tiny", 3, None),
        ("mobilenetv2", 52, 2_236_682),  # Sandler et al. (2018): 3.4 million with 1000 classes
        ("googlenet", 64, None),
        ("vgg16", 13, None),
        ("mobilenetv2_224", 52, 2_236_682),
        ("googlenet_224", 57, None),
    ],
)
def test_layers_and_size(name, convolutions, parameters):
    model = models.create(name, 10)
    assert sum(isinstance(m, nn.Conv2d) for m in model.modules()) == convolutions
    assert sum(isinstance(m, nn.Linear) for m in model.modules()) == 1
    assert parameters in (None, n_parameters(model))


def test_tiny_is_tiny():
    assert 12_000 < n_parameters(models.create("tiny", 10, in_channels=1)) < 18_000


def smallest_size(name):
    return 64 if name.endswith("_224") else 32 if name.startswith("vgg") else 8


@pytest.mark.parametrize("name", names)
@pytest.mark.parametrize(("extra", "channels"), [(0, 1), (13, 2)])
def test_any_size_and_number_of_channels(name, extra, channels):
    size = smallest_size(name) + extra
    model = models.create(name, 7, channels).eval()
    with torch.no_grad():
        assert model(torch.randn(2, channels, size, size)).shape == (2, 7)


@pytest.mark.parametrize("name", names)
def test_networks_can_be_traced(name):
    model = models.create(name, 10).eval()
    images = torch.randn(1, 3, smallest_size(name), smallest_size(name))
    with torch.no_grad():
        torch.testing.assert_close(torch.fx.symbolic_trace(model)(images), model(images))


def test_an_unknown_name_is_refused_with_the_nearest():
    with pytest.raises(BadInput, match="did you mean 'resnet20'"):
        models.create("resnet-20", 10)


def test_the_same_seed_gives_the_same_network():
    torch.manual_seed(3)
    first = models.create("tiny", 10).state_dict()
    torch.manual_seed(3)
    second = models.create("tiny", 10).state_dict()
    assert all(torch.equal(value, second[name]) for name, value in first.items())


def test_tiny_learns_digits_in_a_few_epochs():
    images, labels = load_digits(return_X_y=True)
    images = torch.tensor(images, dtype=torch.float32).reshape(-1, 1, 8, 8) / 8 - 1
    labels = torch.tensor(labels)
    torch.manual_seed(0)
    model = models.create("tiny", 10, in_channels=1)
    optimizer = torch.optim.SGD(model.parameters(), 0.1, momentum=0.9)
    for _ in range(4):
        for batch in torch.randperm(1400).split(64):
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(images[batch]), labels[batch]).backward()
            optimizer.step()
    with torch.no_grad():
        accuracy = (model.eval()(images[1400:]).argmax(1) == labels[1400:]).float().mean().item()
    assert accuracy > 0.9


def test_networks_of_others_are_built_by_path(tmp_path, monkeypatch):
    (tmp_path / "my_networks.py").write_text(
        "from torch import nn\n"
        "def small(num_classes, in_channels=3):\n"
        "    return nn.Sequential(nn.Conv2d(in_channels, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(),\n"
        "                         nn.Linear(4, num_classes))\n"
        "def passed_on(num_classes, **rest): return timm_like(num_classes, **rest)\n"
        "def timm_like(num_classes, in_chans=3): return small(num_classes, in_chans)\n"
        "def ours_like(num_classes, **rest): return small(num_classes, **rest)\n"
        "def colour_by_keyword(num_classes, **rest): return colour_only(num_classes, **rest)\n"
        "def clumsy(num_classes, **rest): return 1 + 'x'\n"
        "def colour_only(num_classes): return nn.Linear(3, num_classes)\n"
        "def wrong(num_classes): return 1\n"
        "number = 1\n"
        "def boom(num_classes): raise RuntimeError('weights missing\\nsecond line')\n"
    )
    (tmp_path / "broken.py").write_text("net = (")
    (tmp_path / "unlucky.py").write_text("1 / 0")
    monkeypatch.chdir(tmp_path)
    assert models.create("my_networks:small", 5, 1)(torch.zeros(2, 1, 8, 8)).shape == (2, 5)
    assert models.create("torchvision.models:squeezenet1_1", 7)(torch.zeros(1, 3, 64, 64)).shape == (1, 7)
    for name, message in (
        ("my_networks:missing", "cannot be loaded.*missing"),
        ("no_such_module:small", "cannot be loaded.*no_such_module"),
        ("my_networks:wrong", "returns int"),
        ("my_networks:number", "no function"),
        ("my_networks:boom", "model 'my_networks:boom' cannot be built: RuntimeError: weights missing$"),
        ("broken:net", r"model 'broken:net' cannot be loaded: SyntaxError: '\(' was never closed"),
        ("unlucky:net", "cannot be loaded: ZeroDivisionError"),
        ("my_networks.py:small", "model 'my_networks.py:small': write my_networks:small$"),
        ("./sub/nets.py:small", r"write sub\.nets:small$"),
        ("/elsewhere/nets.py:small", "write nets:small, in the folder /elsewhere$"),
        ("builtins:type", "model 'builtins:type' cannot be built: ValueError: no signature"),
    ):
        with pytest.raises(BadInput, match=message):
            models.create(name, 5)
    for name in ("passed_on", "ours_like"):
        assert models.create(f"my_networks:{name}", 5, 1)(torch.zeros(2, 1, 8, 8)).shape == (2, 5)
        assert models.create(f"my_networks:{name}", 5)(torch.zeros(2, 3, 8, 8)).shape == (2, 5)
    for name in ("colour_only", "colour_by_keyword"):
        with pytest.raises(BadInput, match=f"^model 'my_networks:{name}' takes no .*the images have 1"):
            models.create(f"my_networks:{name}", 5, 1)
    with pytest.raises(BadInput, match="cannot be built: TypeError: unsupported operand"):
        models.create("my_networks:clumsy", 5, 1)
    assert str(tmp_path) not in sys.path
