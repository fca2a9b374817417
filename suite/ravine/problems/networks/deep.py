"""Deep perceptrons on MNIST: one network with and without normalisation and skips."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import cast

from ravine.errors import BadValue
from ravine.problems import arguments
from ravine.problems.catalogue import problems, short_id
from ravine.problems.networks.criteria import CROSS_ENTROPY
from ravine.problems.networks.images import image_supply
from ravine.problems.networks.initial import INITS
from ravine.problems.networks.layers import ACTIVATIONS
from ravine.problems.networks.network import Network, network
from ravine.problems.networks.perceptron import NORMS, Perceptron

DEPTHS = (20, 50)
"""Weight layers of the named entries."""

CORNERS: Mapping[str, tuple[str, bool, str]] = MappingProxyType(
    {
        "plain": ("none", False, "without normalisation or skip connections"),
        "norm": ("batch", False, "with batch normalisation"),
        "skip": ("none", True, "with skip connections"),
        "norm_skip": ("batch", True, "with batch normalisation and skip connections"),
    }
)
"""Normalisation and skip connections of the named entries, and what is said of them."""

SHALLOW = 20
"""Weight layers up to which a run gets an epoch; deeper networks get half of one."""


@problems.register("network", "mnist", "deep")
def deep_mlp(
    depth: int = 20,
    width: int = 64,
    activation: str = "relu",
    norm: str = "none",
    skip: bool = False,
    init: str = "he",
    batch: int = 128,
) -> Network:
    """Deep perceptron of one width on MNIST.

    The budget is one epoch, or half of one beyond 20 layers.  Four ways to begin badly:

    - Saturating units lose the gradient on the way back: with `sigmoid` and `xavier` at depth
      20, the first layer's is 1e-11 of the last layer's (Glorot and Bengio).
    - So do weights that are too small: with ReLU and `torch`, 1e-6.
    - ReLU with `he` keeps the gradient's size, but the inputs of a deep network become alike
      on the way and its gradients like white noise (Balduzzi et al.); it trains slowly, and at
      depth 50 hardly.
    - Batch normalisation alone makes gradients grow towards the input, 1.2-fold each layer with
      ReLU (Yang et al.): 1e4 at depth 50.  It still lets larger rates converge (Santurkar
      et al.).

    Skip connections, with or without normalisation, have none of these.

    Args:
        depth: layers with weights, 2 to 100; `depth - 1` of them have a hidden layer behind.
        width: units of each hidden layer.
        activation: `tanh`, `sigmoid`, `relu` or `gelu`.
        norm: `none`, `batch` or `layer`, between product and activation.
        skip: whether products are added to the product before; see `Perceptron`.
        init: `xavier`, `he`, `small`, `large` or `torch`; see `initial.weights`.
        batch: images in a minibatch; epochs are cut into full ones.

    Raises:
        BadValue: an argument is outside its domain.

    References:
        Glorot and Bengio (2010). Understanding the difficulty of training deep feedforward
        neural networks. AISTATS.  He, Zhang, Ren and Sun (2016). Deep residual learning for
        image recognition. arXiv 1512.03385.  Balduzzi et al. (2017). The shattered gradients
        problem. arXiv 1702.08591.  Santurkar et al. (2018). How does batch normalization help
        optimization? arXiv 1805.11604.  Yang et al. (2019). A mean field theory of batch
        normalization. arXiv 1902.08129.

    Example:
        >>> deep_mlp(depth=3).shapes["1.weight"]
        (64, 64)
    """
    arguments.whole("depth", depth, 2)
    arguments.at_most("depth", depth, 100)
    arguments.whole("width", width, 1)
    arguments.choice("activation", activation, ACTIVATIONS)
    arguments.choice("norm", norm, NORMS)
    arguments.choice("init", init, INITS)
    supply, classes = image_supply(batch)
    if norm == "batch" and batch == 1:
        raise BadValue("`batch` must be at least 2 for a variance over it, got 1; use 128")
    model = Perceptron(
        sizes=(*supply.example, *[width] * (depth - 1), classes),
        activation=activation,
        norm=norm,
        skip=skip,
        init=init,
    )
    budget = supply.epoch if depth <= SHALLOW else max(1, supply.epoch // 2)
    given = {"depth": depth, "width": width, "activation": activation}
    given |= {"norm": norm, "skip": skip, "init": init, "batch": batch}
    return network(model, supply, CROSS_ENTROPY, budget, short_id(deep_mlp, given))


def _corner(name: str, depth: int) -> Callable[[int], Network]:
    norm, skip, words = CORNERS[name]

    def entry(batch: int = 128) -> Network:
        whole = cast(Network, deep_mlp(depth=depth, norm=norm, skip=skip, batch=batch))
        id = short_id(entry, {"batch": batch})
        return network(whole.model, whole.supply, CROSS_ENTROPY, whole.traits.budget, id)

    entry.__name__ = f"deep_{name}_{depth}"
    entry.__doc__ = f"""Perceptron of {depth} layers on MNIST, {words}.

    The same as `deep_mlp(depth={depth}, norm={norm}, skip={skip})`, where its sources are.

    Args:
        batch: images in a minibatch.

    Raises:
        BadValue: `batch` is outside its domain.
    """
    return entry


for _depth in DEPTHS:
    for _name in CORNERS:
        problems.register("network", "mnist", "deep")(_corner(_name, _depth))
