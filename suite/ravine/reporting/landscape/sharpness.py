"""How sharp points are, as a table."""

from collections.abc import Mapping

from ravine.landscape.sharpness import Sharpness
from ravine.reporting.cells import decimal, gap
from ravine.reporting.layout import Align, Table


def sharpness_table(found: Mapping[str, Sharpness]) -> Table:
    """The measures of every place, plain and scale-invariant side by side.

    Args:
        found: by place.
    """
    rows = []
    for place, one in found.items():
        plain, *scaled = one.measures
        every = [plain, *scaled]
        words = {
            "largest eigenvalue": [
                decimal(m.eigenvalue)
                + ("" if m.converged else f" ± {gap(m.residual)}, not converged")
                for m in every
            ],
            "trace / P": [
                gap(m.trace)
                + (f" ± {gap(m.trace_error)}" if m.trace_error else "")
                + ("" if m.trace_converged else ", not converged")
                for m in every
            ],
            "rise, one step of SAM": [decimal(m.one_step) for m in every],
            "highest rise in a ball": [
                decimal(m.ball.rise) + ("" if m.ball.converged else ", still rising") for m in every
            ],
            "Keskar's box [%]": [
                decimal(m.keskar) + ("" if m.box.converged else ", still rising") for m in every
            ],
        }
        rows += [(place, name, *cells) for name, cells in words.items()]
    first = next(iter(found.values()))
    radii = ", ".join(f"{m.geometry} {m.ball.radius:g}" for m in first.measures)
    data = f"{first.split} data; " if first.split else ""
    norm = f"batch normalisation {first.batch_norm}; " if first.batch_norm else ""
    losses = ", ".join(
        f"{place}: loss {decimal(one.loss)}, gradient norm {gap(one.gradient_norm)}"
        for place, one in found.items()
    )
    footer = (
        f"{losses}. {data}{norm}ball: {radii}; box: {first.measures[0].box.radius:g}; rises are "
        f"the highest that {first.measures[0].ball.starts} ascents found. Plain sharpness changes "
        f"when a ReLU network is rescaled without changing its function; elementwise does for no "
        f"rescaling of units, filterwise for none of whole layers"
    )
    right: Align = "right"
    columns = ("place", "sharpness", *(m.geometry for m in first.measures))
    sides: tuple[Align, ...] = ("left", "left", right, right, right)
    return Table(f"Sharpness on {first.name}", columns, tuple(rows), footer, sides)
