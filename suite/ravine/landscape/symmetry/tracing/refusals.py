"""What is said of networks whose symmetries cannot be traced."""

from typing import Any

from ravine.errors import BadValue


def untraceable(name: str, error: Exception) -> BadValue:
    """The forward pass depends on values, or cannot be followed otherwise."""
    said = f"{type(error).__name__}: {error}".partition("\n")[0]
    return BadValue(
        f"`{name}` cannot be traced ({said}); symmetries need a forward pass that does not depend "
        f"on values"
    )


def failing(name: str, error: Exception) -> BadValue:
    """The examples do not fit."""
    said = str(error).strip().partition("\n")[0]
    return BadValue(
        f"`{name}` fails on the examples it was traced with ({said}); give examples as it takes "
        f"them"
    )


def unknown(name: str, kind: Any, node: str) -> BadValue:
    """An operation has no rule."""
    said = kind if isinstance(kind, str) else getattr(kind, "__name__", kind)
    return BadValue(
        f"`{name}` uses `{said}` (node `{node}`), whose symmetries are not known; express it by "
        f"linear layers, convolutions, norms, sums and activations"
    )


def transposed_in_groups(name: str, layer: str) -> BadValue:
    """A transposed convolution has more than one group."""
    return BadValue(
        f"`{name}` has the transposed convolution `{layer}` in groups, whose symmetries are not "
        f"known; use groups=1"
    )


def computed(name: str, node: str) -> BadValue:
    """The weights of a layer are no parameters but computed from some."""
    return BadValue(
        f"`{name}` computes the weights of node `{node}`, whose symmetries are not known; give it "
        f"parameters"
    )
