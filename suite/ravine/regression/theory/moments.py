"""Laws of Adam and its kin: averages of gradients over roots of averages of their squares."""

import numpy as np

from ravine.regression.theory.law import Array, Finding, Law, Subject, agree, claims, offers
from ravine.regression.theory.paths import SIZES, advances, clock, follow, repeated

KINGMA = "Kingma, Ba (2015), arXiv 1412.6980"
LOSHCHILOV = "Loshchilov, Hutter (2019), arXiv 1711.05101"
REDDI = "Reddi, Kale, Kumar (2018), arXiv 1904.09237"

ADAM = claims("Adam", "AdamW")

ORIGIN = np.zeros(len(SIZES))

B1, B2 = 0.8, 0.95

USUAL = {"lr": 0.1, "betas": (B1, B2), "eps": 1e-4, "weight_decay": 0.0}

FLOAT32_COUNTERS = 1e-6
"""NAdam's product of momenta is a float32 number whatever the parameters are."""


def spike(before: int, after: int) -> Array:
    """Gradients of 0, one of 1 and -3, and gradients of 0 again, `[steps, 2]`."""
    g = np.zeros((before + 1 + after, 2))
    g[before] = 1.0, -3.0
    return g


def _constant(subject: Subject) -> Finding:
    g = repeated(SIZES, 25)
    found = advances(follow(subject, USUAL, ORIGIN, g))
    words = "every step to be lr g / (|g| + eps), the first one too"
    return agree(subject, found, 0.1 * g / (np.abs(g) + 1e-4), words)


def _constant_sparse(subject: Subject) -> Finding:
    g, t = repeated(SIZES, 25), clock(25)
    hyper = {"lr": 0.1, "betas": (B1, B2), "eps": 1e-4}
    found = advances(follow(subject, hyper, ORIGIN, g))
    wanted = 0.1 * g / (np.abs(g) + 1e-4 / np.sqrt(1 - B2**t))
    return agree(subject, found, wanted, "every step to be lr g / (|g| + eps / sqrt(1 - beta2^t))")


def _scaled(subject: Subject) -> Finding:
    """By 1024, a power of 2, so that nothing is rounded."""
    g = np.random.default_rng(1).normal(size=(15, 6))
    hyper = {"lr": 0.1, "eps": 1e-3, "weight_decay": 0.0}
    wanted = advances(follow(subject, hyper, ORIGIN, g))
    found = advances(follow(subject, {**hyper, "eps": 1024e-3}, ORIGIN, 1024 * g))
    return agree(subject, found, wanted, "the same path for 1024 g and 1024 eps")


def _longest(subject: Subject) -> Finding:
    """The gradients that meet the bound grow as (beta1 / beta2)^(t - k) before step t = 20."""
    k = np.arange(19, -1, -1.0)
    first = (1 - B1) * B1**k / (1 - B1**20)
    second = (1 - B2) * B2**k / (1 - B2**20)
    limit = 0.1 * float(np.sqrt((first**2 / second).sum()))
    hyper = {**USUAL, "eps": 1e-14}
    worst = first / second
    meets = advances(follow(subject, hyper, np.zeros(1), worst[:, None]))[-1, 0]
    random = np.random.default_rng(2)
    g = random.normal(size=(20, 200)) * 10.0 ** random.uniform(-3, 3, size=(20, 200))
    others = float(np.abs(advances(follow(subject, hyper, np.zeros(200), g))[-1]).max())
    found = agree(subject, np.array([meets]), np.array([limit]), "")
    slack = 1 + (1e-9 if subject.double else 1e-3)
    return Finding(
        holds=found.holds and others <= limit * slack,
        expected=f"no step 20 longer than {limit:.6g}, and one of the worst gradients that is",
        seen=f"{meets:.6g} by the worst gradients, up to {others:.6g} by others",
        size=found.size,
        n=201,
    )


def _spiked(subject: Subject) -> Finding:
    found = advances(follow(subject, {**USUAL, "eps": 1e-14}, np.zeros(2), spike(9, 0)))[9:]
    size = 0.1 * (1 - B1) / np.sqrt(1 - B2) * np.sqrt(1 - B2**10) / (1 - B1**10)
    words = "a step of lr (1 - beta1) / sqrt(1 - beta2), corrected, at a gradient after nine of 0"
    return agree(subject, found, size * np.array([[1.0, -1.0]]), words)


def _without_momentum(subject: Subject) -> Finding:
    g = np.random.default_rng(3).normal(size=(15, 6))
    found = advances(follow(subject, {**USUAL, "betas": (0.0, B2)}, ORIGIN, g))
    t = np.arange(1.0, 16)
    weights = np.tril(B2 ** (t[:, None] - t[None, :])) * (1 - B2)
    mean = weights @ g**2 / (1 - B2 ** t[:, None])
    words = "the steps of RMSProp whose average is corrected for its start"
    return agree(subject, found, 0.1 * g / (np.sqrt(mean) + 1e-4), words)


def _decoupled(subject: Subject) -> Finding:
    """Ways with and without decay on the same gradients differ by the shrinking alone."""
    random = np.random.default_rng(4)
    start = random.normal(size=(4, 3))
    g = random.normal(size=(12, 4, 3))
    switch = {} if subject.name in {"AdamW", "Muon"} else {"decoupled_weight_decay": True}
    hyper = {"lr": 0.1, **switch}
    plain = advances(follow(subject, {**hyper, "weight_decay": 0.0}, start, g))
    found = follow(subject, {**hyper, "weight_decay": 0.5}, start, g)
    wanted = [start]
    for taken in plain:
        wanted.append(0.95 * wanted[-1] - taken)
    words = "x shrunk by 1 - lr weight_decay before the very step that it takes without decay"
    return agree(subject, found[1:], np.stack(wanted[1:]), words)


def _decays_alone(subject: Subject) -> Finding:
    start, t = np.linspace(-2, 3, 12).reshape(4, 3), np.arange(16.0)[:, None, None]
    switch = (
        {} if subject.name in {"AdamW", "Muon", "Adafactor"} else {"decoupled_weight_decay": True}
    )
    hyper = {"lr": 0.1, "weight_decay": 0.5, **switch}
    found = follow(subject, hyper, start, np.zeros((15, 4, 3)))
    return agree(subject, found, start * 0.95**t, "x (1 - lr weight_decay)^t without a gradient")


def _normalised_decay(subject: Subject) -> Finding:
    start = np.array([-2.0, 0.5, 3.0])
    hyper = {**USUAL, "weight_decay": 0.2}
    found = advances(follow(subject, hyper, start, np.zeros((1, 3))))
    g = 0.2 * start[None]
    words = "a first step of the rate's size from weight decay alone, lr sign(x)"
    return agree(subject, found, 0.1 * g / (np.abs(g) + 1e-4), words)


def _amsgrad(subject: Subject) -> Finding:
    """After a spike in the first step the root stays at its height, (1 - beta2) g^2."""
    g, t = spike(0, 25), clock(26)
    found = advances(follow(subject, {**USUAL, "amsgrad": True}, np.zeros(2), g))
    first = (1 - B1) * B1 ** (t - 1) / (1 - B1**t) * g[0]
    largest = np.sqrt((1 - B2) / (1 - B2**t)) * np.abs(g[0])
    words = "the second moment of a spike never forgotten"
    return agree(subject, found, 0.1 * first / (largest + 1e-4), words)


def _adam_forgets(subject: Subject) -> Finding:
    g, t = spike(0, 25), clock(26)
    found = advances(follow(subject, USUAL, np.zeros(2), g))
    first = (1 - B1) * B1 ** (t - 1) / (1 - B1**t) * g[0]
    second = np.sqrt((1 - B2) * B2 ** (t - 1) / (1 - B2**t)) * np.abs(g[0])
    words = "the moments of a spike forgotten as beta1^t and beta2^t"
    return agree(subject, found, 0.1 * first / (second + 1e-4), words)


def _nadam(subject: Subject) -> Finding:
    """Where m / (1 - beta1^t) is g, only the weights of its two terms remain."""
    g, t = repeated(SIZES, 25), np.arange(1.0, 27)
    psi = 0.05
    found = advances(follow(subject, {**USUAL, "momentum_decay": psi}, ORIGIN, g))
    mu = B1 * (1 - 0.5 * 0.96 ** (t * psi))
    product = np.cumprod(mu)
    ahead = mu[1:] * (1 - B1 ** t[:-1]) / (1 - product[1:])
    weight = ahead + (1 - mu[:-1]) / (1 - product[:-1])
    wanted = 0.1 * weight[:, None] * g / (np.abs(g) + 1e-4)
    words = "mu_{t+1} m / (1 - mu_1..mu_{t+1}) + (1 - mu_t) g / (1 - mu_1..mu_t), normalised"
    return agree(subject, found, wanted, words, within=FLOAT32_COUNTERS)


def _radam(subject: Subject) -> Finding:
    g, t = repeated(SIZES, 30), clock(30)
    found = advances(follow(subject, USUAL, ORIGIN, g))
    n = 2 / (1 - B2) - 1
    now = n - 2 * t * B2**t / (1 - B2**t)
    adapts = now > 5
    inside = np.where(adapts, (now - 4) * (now - 2) * n / ((n - 4) * (n - 2) * now), 0.0)
    left = np.sqrt(1 - B2**t)
    adaptive = np.sqrt(inside) * g * left / (np.abs(g) * left + 1e-4)
    words = "lr g while n_t <= 5, then lr r_t g / |g|"
    # against each step's own size, for those before rectification are as large as g
    finding = agree(subject, found, 0.1 * np.where(adapts, adaptive, g), words)
    late = agree(subject, found[6:], 0.1 * adaptive[6:], words)
    return finding if not finding.holds else late


def _adamax(subject: Subject) -> Finding:
    g, t = spike(0, 25), clock(26)
    found = advances(follow(subject, USUAL, np.zeros(2), g))
    first = (1 - B1) * B1 ** (t - 1) / (1 - B1**t) * g[0]
    norm = np.maximum(B2 ** (t - 1) * (np.abs(g[0]) + 1e-4), 1e-4)
    words = "a norm u = max(beta2 u, |g| + eps) that forgets a spike as beta2^t"
    return agree(subject, found, 0.1 * first / norm, words)


def _adamax_constant(subject: Subject) -> Finding:
    g = repeated(SIZES, 25)
    found = advances(follow(subject, USUAL, ORIGIN, g))
    words = "every step to be lr g / (|g| + eps)"
    return agree(subject, found, 0.1 * g / (np.abs(g) + 1e-4), words)


def _lazy(subject: Subject) -> Finding:
    """Two entries: one seen in every step, one in the first and the tenth."""
    g = np.zeros((10, 2))
    g[:, 0], g[0, 1], g[9, 1] = 1.0, 1.0, -2.0
    hyper = {"lr": 0.1, "betas": (B1, B2), "eps": 1e-4}
    found = advances(follow(subject, hyper, np.zeros(2), g))[:, 1:]
    m = np.array([1 - B1, B1 * (1 - B1) - 2 * (1 - B1)])
    v = np.array([1 - B2, B2 * (1 - B2) + 4 * (1 - B2)])
    seen = np.array([1.0, 10.0])
    wanted = np.zeros((10, 1))
    wanted[[0, 9], 0] = 0.1 * m / (1 - B1**seen) * np.sqrt(1 - B2**seen) / (np.sqrt(v) + 1e-4)
    words = "an entry without a gradient to stay, and its averages not to decay meanwhile"
    return agree(subject, found, wanted, words)


LAWS = (
    Law(
        name="bias correction is exact at every step",
        source=f"{KINGMA}, section 3",
        applies=ADAM,
        test=_constant,
    ),
    Law(
        name="bias correction is exact at every step, sparse",
        source=f"{KINGMA}, section 2",
        applies=claims("SparseAdam"),
        test=_constant_sparse,
    ),
    Law(
        name="the gradient's scale does not matter",
        source=f"{KINGMA}, section 2.1",
        applies=claims("Adam", "AdamW", "NAdam", "Adamax", "RMSprop", "Adagrad"),
        test=_scaled,
    ),
    Law(
        name="the longest step",
        source=f"{KINGMA}, section 2.1, made exact by the inequality of Cauchy and Schwarz",
        applies=ADAM,
        test=_longest,
    ),
    Law(
        name="the step of the sparsest gradient",
        source=f"{KINGMA}, section 2.1",
        applies=ADAM,
        test=_spiked,
    ),
    Law(
        name="without momentum it is RMSProp, corrected",
        source=f"{KINGMA}, section 5",
        applies=ADAM,
        test=_without_momentum,
    ),
    Law(
        name="it forgets a spike",
        source=f"{REDDI}, section 3",
        applies=ADAM,
        test=_adam_forgets,
    ),
    Law(
        name="AMSGrad never forgets a spike",
        source=f"{REDDI}, algorithm 2",
        applies=ADAM,
        test=_amsgrad,
    ),
    Law(
        name="decoupled decay does not change the step",
        source=f"{LOSHCHILOV}, algorithm 2",
        applies=lambda claim: (
            claims("AdamW", "Muon")(claim)
            or offers("decoupled_weight_decay", "Adam", "NAdam", "RAdam")(claim)
        ),
        test=_decoupled,
    ),
    Law(
        name="decoupled decay alone shrinks geometrically",
        source=f"{LOSHCHILOV}, section 2",
        applies=lambda claim: (
            claims("AdamW", "Muon", "Adafactor")(claim)
            or offers("decoupled_weight_decay", "Adam", "NAdam", "RAdam")(claim)
        ),
        test=_decays_alone,
    ),
    Law(
        name="coupled decay is normalised like any gradient",
        source=f"{LOSHCHILOV}, section 2",
        applies=claims("Adam"),
        test=_normalised_decay,
    ),
    Law(
        name="NAdam looks ahead",
        source="Dozat (2016), ICLR workshop, openreview OM0jvwB8jIp57ZJjtNEZ",
        applies=claims("NAdam"),
        test=_nadam,
    ),
    Law(
        name="RAdam is rectified once the variance exists",
        source="Liu et al. (2020), arXiv 1908.03265, algorithm 2",
        applies=claims("RAdam"),
        test=_radam,
    ),
    Law(
        name="Adamax's norm forgets a spike",
        source=f"{KINGMA}, algorithm 2",
        applies=claims("Adamax"),
        test=_adamax,
    ),
    Law(
        name="Adamax's bias correction is exact at every step",
        source=f"{KINGMA}, algorithm 2",
        applies=claims("Adamax"),
        test=_adamax_constant,
    ),
    Law(
        name="untouched entries stay",
        source="LazyAdam of TensorFlow Addons; torch.optim.SparseAdam",
        applies=claims("SparseAdam"),
        test=_lazy,
    ),
)
