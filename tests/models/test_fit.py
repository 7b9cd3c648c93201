"""Networks that do not fit a task are told so by one image."""

import pytest
import torch
from torch import nn

from jouleshift.errors import BadInput
from jouleshift.models.fit import WrongImages, refuse_misfit


class Makes(nn.Module):
    """Makes of images whatever a function does."""

    def __init__(self, make):
        super().__init__()
        self.make = make

    def forward(self, images):
        return self.make(images)


@pytest.mark.parametrize(
    ("make", "found"),
    [
        (lambda images: (images.flatten(1),), "a tuple"),
        (lambda images: images.flatten(1)[:, :7], r"\(1, 7\)"),
        (lambda images: images.flatten(), r"\(12,\)"),
        (lambda images: images, r"\(1, 3, 2, 2\)"),
    ],
)
def test_anything_but_a_logit_for_each_class_is_refused(make, found):
    with pytest.raises(BadInput, match=f"^model 'own' gives {found}, not one logit for each of 12 classes$"):
        refuse_misfit("own", Makes(make), (3, 2, 2), 12)


def no_row(images):
    raise IndexError("no row\nsecond line")


def test_images_that_a_network_does_not_take_are_told_with_its_reason():
    with pytest.raises(WrongImages, match=r"^own does not take images of 3 × 2 × 2: IndexError: no row$"):
        refuse_misfit("own", Makes(no_row), (3, 2, 2), 12)


def test_a_network_that_fits_stays_as_it_is():
    network = nn.Sequential(nn.BatchNorm2d(3), nn.Flatten())
    before = {name: value.clone() for name, value in network.state_dict().items()}
    refuse_misfit("own", network, (3, 2, 2), 12)
    assert network.training
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
