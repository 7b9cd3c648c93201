"""An epoch of CIFAR-10 in our loop against an epoch in the way the paper's script trains.

    python benchmarks/epoch_loop.py cifar10-train.parquet --images 4000 --rounds 5 --peer ~/DeepShift/pytorch

The paper's way, rebuilt from what its script does: a DataLoader without workers over Pillow images (resize
to 32, to tensor, normalise by ImageNet's statistics), batches of 16, NCHW, Adam, top-1 and top-5 accuracy and
the loss fetched after each batch, then validation in batches of 16. Ours: `jouleshift.train` with batches of
128, channels last, augmentation on, which the paper's way does not have. Both train on the same images and
validate on a quarter as many, after decoding, which neither includes.

Rows: our loop, in bfloat16 where the processor has it, and in float32; the paper's loop around our layers
(what the loop costs); with `--peer` the paper's loop around DeepShift's layers (what the paper's users had).
"""

import argparse
import contextlib
import io
import sys
from collections.abc import Callable
from pathlib import Path

import torch
from measuring import interleaved, line, write
from PIL import Image
from torch import nn
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

from jouleshift import conversion, models
from jouleshift.config import Precision, ShiftConfig, TrainConfig
from jouleshift.data.batches import Prepared, prepare
from jouleshift.data.sources import ImageSet, Splits, load
from jouleshift.records import Failure
from jouleshift.train.loop import train
from jouleshift.train.recipe import Recipe, computes_in_bf16

PAPER_BATCH = 16


def shift_network(name: str, classes: int) -> nn.Module:
    torch.manual_seed(0)
    config = ShiftConfig(kind="PS", weight_bits=4, act_integer_bits=3, act_fraction_bits=5)
    return conversion.convert(models.create(name, num_classes=classes), config)


def deepshift_network(name: str, classes: int) -> nn.Module:
    from deepshift.convert import convert_to_shift

    torch.manual_seed(0)
    network = models.create(name, num_classes=classes)
    return convert_to_shift(network, 1000, "PS", weight_bits=4, use_kernel=False)[0]


class PillowImages(Dataset):
    """Decoded images as a torchvision data set hands them out: one Pillow image at a time."""

    def __init__(self, images: ImageSet) -> None:
        pixels = images.images.permute(0, 2, 3, 1).numpy()
        self.images = [Image.fromarray(p) for p in pixels]
        self.labels = images.labels.tolist()
        self.transform = transforms.Compose(
            [
                transforms.Resize((32, 32)),
                transforms.ToTensor(),
                transforms.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
            ]
        )

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, i: int):
        return self.transform(self.images[i]), self.labels[i]


def paper_epoch(splits: Splits, network: nn.Module) -> Callable[[], None]:
    """A function that trains and validates one epoch in the paper's way."""
    train_loader = DataLoader(PillowImages(splits.train), PAPER_BATCH, shuffle=True)
    val_loader = DataLoader(PillowImages(splits.val), PAPER_BATCH, shuffle=False)
    criterion = nn.CrossEntropyLoss()
    optimizer = torch.optim.Adam(network.parameters(), 0.01, weight_decay=1e-4)

    def epoch() -> None:
        network.train()
        for images, labels in train_loader:
            logits = network(images)
            loss = criterion(logits, labels)
            loss.item()
            top_accuracies(logits, labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        network.eval()
        with torch.no_grad():
            for images, labels in val_loader:
                logits = network(images)
                criterion(logits, labels).item()
                top_accuracies(logits, labels)

    return epoch


def top_accuracies(logits: torch.Tensor, labels: torch.Tensor) -> tuple[float, float]:
    hits = logits.topk(5, dim=1).indices == labels[:, None]
    return hits[:, :1].sum().item() / len(labels), hits.sum().item() / len(labels)


def our_epoch(data: Prepared, network: nn.Module, precision: Precision) -> Callable[[], None]:
    def epoch() -> None:
        config = TrainConfig(optimizer="Adam", learning_rate=0.01)
        recipe = Recipe(precision=precision)
        result = train(network, data, config, epochs=1, horizon=1, seed=0, recipe=recipe)
        assert not isinstance(result, Failure), result

    return epoch


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("data", help="a Parquet file or folder of CIFAR-10")
    parser.add_argument("--model", default="resnet20")
    parser.add_argument("--images", type=int, default=4000, help="training images; a quarter validates")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--peer", type=Path, help="folder pytorch of a checkout of DeepShift")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    splits = load(
        options.data, seed=0, limit_train=options.images, limit_val=options.images // 4, with_test=False
    )
    classes = len(splits.class_names)
    data = prepare(splits)
    precisions: list[Precision] = ["bf16", "float32"]
    epochs = {
        f"our loop, our layers, {precision}": our_epoch(
            data, shift_network(options.model, classes), precision
        )
        for precision in precisions[not computes_in_bf16(torch.device("cpu")) :]
    }
    epochs["the paper's loop, our layers"] = paper_epoch(splits, shift_network(options.model, classes))
    if options.peer:
        sys.path.insert(0, str(options.peer))
        with contextlib.redirect_stdout(io.StringIO()):
            epochs["the paper's loop, DeepShift's layers"] = paper_epoch(
                splits, deepshift_network(options.model, classes)
            )
    times = interleaved(epochs, options.rounds, warm_up=1)
    base = next(iter(times.values()))
    for name, values in times.items():
        print(line(name, values, base))
    rows = {name: {**v.summaries(), "ratio_to_ours": v.relative(base)} for name, v in times.items()}
    write(f"epoch_loop_{options.model}", {"images": options.images, "rows": rows})


if __name__ == "__main__":
    main()
