"""What stood when it was last written down: the verdict and measurement of every claim."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import msgspec

from ravine.experiments.claims import Claim, Standing
from ravine.experiments.run import Result

PLACE = Path(str(files("ravine.experiments"))) / "standing.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Stand:
    """A claim as it stands in the repository.

    Args:
        statement: as it was written.
        standing: the verdict.
        measured: the value; `n/a` where nothing could be measured, `∞` where a run never got there.
        low: of its interval.
        high: of its interval.
        n: behind it.
        region: in symbols.
        unit: of the value.
        calibrated: what set the bound.
    """

    statement: str
    standing: Standing
    measured: float | str
    low: float | str
    high: float | str
    n: int
    region: str
    unit: str
    calibrated: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """An experiment as it stands.

    Args:
        seconds: that its quick scale took.
        claims: by key.
        figures: file stems.
        animations: file stems.
        remark: of the experiment.
    """

    seconds: float
    claims: dict[str, Stand]
    figures: tuple[str, ...] = ()
    animations: tuple[str, ...] = ()
    remark: str = ""


def stand(claim: Claim) -> Stand:
    """Write a claim down."""

    def number(x: float) -> float | str:
        if math.isnan(x):
            return "n/a"
        return float(f"{x:.4g}") if math.isfinite(x) else "∞" if x > 0 else "-∞"

    return Stand(
        statement=claim.statement,
        standing=claim.standing,
        measured=number(claim.measured),
        low=number(claim.low),
        high=number(claim.high),
        n=claim.n,
        region=str(claim.region),
        unit=claim.unit,
        calibrated=claim.calibrated,
    )


def recorded(place: Path = PLACE) -> dict[str, Record]:
    """All experiments as they stand, by id."""
    if not place.is_file():
        return {}
    return msgspec.json.decode(place.read_bytes(), type=dict[str, Record])


def write_records(records: Mapping[str, Record], place: Path = PLACE) -> None:
    """Write all experiments down, in the order given."""
    text = msgspec.json.format(msgspec.json.encode(dict(records)), indent=1)
    place.write_bytes(text + b"\n")


def record(result: Result) -> Record:
    """Write the result of an experiment down."""
    return Record(
        seconds=float(f"{result.seconds:.2g}"),
        claims={claim.key: stand(claim) for claim in result.claims},
        figures=tuple(result.pictures),
        animations=tuple(result.animations),
        remark=result.remark,
    )


@dataclass(frozen=True, slots=True)
class Change:
    """A claim that stands otherwise than it did.

    Args:
        id: of the experiment.
        key: of the claim.
        before: None for a new claim.
        now: None for one that is gone.
    """

    id: str
    key: str
    before: Standing | None
    now: Standing | None

    @property
    def broken(self) -> bool:
        """Whether it held and does not any more."""
        return self.before is Standing.HOLDS and self.now is not Standing.HOLDS


def changes(id: str, claims: Sequence[Claim], record: Record | None) -> list[Change]:
    """Compare claims with how they stand.

    Args:
        id: of the experiment.
        claims: just measured.
        record: of the repository; None for a new experiment.
    """
    before = {key: s.standing for key, s in record.claims.items()} if record else {}
    now = {claim.key: claim.standing for claim in claims}
    keys = dict.fromkeys([*before, *now])
    return [
        Change(id, key, before.get(key), now.get(key))
        for key in keys
        if before.get(key) is not now.get(key)
    ]
