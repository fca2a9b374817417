"""What is said of two implementations of one algorithm: alike, or different and why."""

from dataclasses import dataclass
from enum import StrEnum

Shapes = tuple[tuple[int, ...], ...]

VECTOR: Shapes = ((12,),)
MATRIX: Shapes = ((6, 4),)
MIXED: Shapes = ((6, 4), (6,))
"""A matrix and a vector, for methods that do not treat them alike."""


class Kind(StrEnum):
    """What sort of difference it is; the gravest first."""

    DEFECT = "defect"
    """It contradicts the package's own words, or an argument that it takes does nothing."""
    RULE = "rule"
    """Another formula, or a constant in another place."""
    PRECISION = "precision"
    """The same formula, with numbers kept in fewer digits than the parameters have."""


@dataclass(frozen=True, slots=True)
class Amendment:
    """A change to one function of an installed package, made to see what depends on it.

    Args:
        place: `module:qualified.name` of the function.
        text: what stands in its source, once.
        instead: what is put there.
    """

    place: str
    text: str
    instead: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """Why an implementation leaves the reference's trajectory, and what brings it back.

    Args:
        kind: of the gravest cause.
        cause: what it does, and what the reference does instead.
        place: `module:qualified.name`, where it does so.
        amendments: changes to installed functions that take the difference away.
        other: an id in place of the implementation's, empty if that stays.
        reference: an id in place of the reference's, empty if that stays.
        double: whether torch's default type must be double precision.
    """

    kind: Kind
    cause: str
    place: str
    amendments: tuple[Amendment, ...] = ()
    other: str = ""
    reference: str = ""
    double: bool = False


@dataclass(frozen=True, slots=True)
class Member:
    """An implementation, in the hyperparameters of its own that mean what the reference's do.

    Args:
        id: `family.name(hyperparameters)`.
        difference: None where it follows the reference.
    """

    id: str
    difference: Difference | None = None


@dataclass(frozen=True, slots=True)
class Algorithm:
    """One algorithm in one form, and who implements it.

    Args:
        name: what people call it, with the form where there are several.
        reference: the id that the others are held against: torch's own, else the authors',
            else the one nearest to the paper.
        members: the others.
        shapes: of the parameters.
        separable: whether the function is a sum over coordinates, for methods that draw
            random directions to find the diagonal of a Hessian, which is then exact.
    """

    name: str
    reference: str
    members: tuple[Member, ...]
    shapes: Shapes = VECTOR
    separable: bool = False
