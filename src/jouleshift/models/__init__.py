"""Networks by name: `create("resnet20", num_classes=10)`."""

from jouleshift.models.registry import create, names

__all__ = ["create", "names"]
