"""`ravine landscape smoothness`, `monitor` and `sharpness`, as a user calls them."""

import csv
import json
from pathlib import Path

import pytest

from ravine.cli import main

NETS = ["deep_mlp(depth=3, width=8, norm=batch)", "deep_mlp(depth=3, width=8)"]


def test_smoothness_of_two_problems_is_a_picture_and_a_table(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Both problems are trained with every seed; the table has the ratio of their medians."""
    words = ["landscape", "smoothness", *NETS, "--method", "sgd(lr=0.1)", "--steps", "8"]
    words += ["--seeds", "2", "--points", "3", "--out", str(tmp_path)]
    main(words)
    said = capsys.readouterr().out
    assert "effective beta" in said
    assert "seeds 0, 1" in said
    assert len(list(tmp_path.glob("smoothness-*.png"))) == 1
    with next(tmp_path.glob("*.csv")).open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 6
    assert [row["to the first"] for row in rows[::2]] == ["1.00"] * 3
    main([*words, "--json"])
    answer = json.loads(capsys.readouterr().out)
    assert [(run["seed"], run["steps"]) for run in answer["runs"]] == [
        (0, [0, 4, 8]),
        (1, [0, 4, 8]),
    ] * 2
    one = answer["runs"][0]["measures"][0]
    assert one["loss_range"] == max(one["losses"]) - min(one["losses"])
    assert one["predictiveness"] == max(one["changes"])


def test_monitor_says_what_it_saw(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """On a quadratic beyond its threshold: ill-conditioned at once, and beyond the edge."""
    words = ["landscape", "monitor", "sphere(dim=2)", "--out", str(tmp_path), "--steps", "6"]
    main([*words, "--method", "sgd(lr=1.5)", "--looks", "3"])
    said = capsys.readouterr().out
    assert "at 3/3 looks" in said
    assert "reached at step 0; 1.5 at first" in said
    assert "does not shrink" in said
    assert len(list(tmp_path.glob("monitor-*.png"))) == 1
    main([*words, "--method", "adam(lr=0.01)", "--json"])
    answer = json.loads(capsys.readouterr().out)
    assert [look["step"] for look in answer["looks"]] == list(range(6))
    for look in answer["looks"]:
        assert look["predicted"] == pytest.approx(look["actual"], rel=1e-9)
        assert look["move"]["predicted"] == pytest.approx(look["move"]["actual"], rel=1e-9)
        assert look["threshold"] is None
    main([*words, "--method", "adam(lr=0.01)", "--no-sharpness"])
    assert "no threshold is known for this method" in capsys.readouterr().out


def test_sharpness_stands_beside_its_scale_invariant_forms(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """At (1, 2) of |x|^2 the eigenvalue is 2 plainly, 8 scaled by the coordinates."""
    words = ["landscape", "sharpness", "sphere(dim=2)", "--at", "1,2", "0,0"]
    main([*words, "--out", str(tmp_path)])
    said = capsys.readouterr().out
    assert "elementwise" in said
    assert "largest eigenvalue" in said
    main([*words, "--out", str(tmp_path), "--json"])
    answer = json.loads(capsys.readouterr().out)["places"]["1,2"]
    values = {m["geometry"]: m["eigenvalue"] for m in answer["measures"]}
    assert values == pytest.approx({"plain": 2.0, "elementwise": 8.0, "filterwise": 8.0})


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["smoothness", "sphere", "--method", "sgd"], "leaves lr to be tuned"),
        (["smoothness", "sphere", "--method", "sgd(lr=0.1)", "--points", "1"], "`--points`"),
        (["smoothness", "nosuch", "--method", "sgd(lr=0.1)"], "unknown problem"),
        (["monitor", "sphere", "--method", "sgd(lr=0.1)", "--looks", "0"], "`--looks`"),
        (["sharpness", "sphere", "--at", "1,2,x"], "is no list of numbers"),
        (["sharpness", "sphere", "--at", "start", "--epsilon", "0"], "`epsilon` must be positive"),
    ],
)
def test_wrong_input_is_one_sentence(
    words: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Bad input ends with status 2 and says the remedy."""
    with pytest.raises(SystemExit) as ended:
        main(["landscape", *words, "--out", str(tmp_path)])
    assert ended.value.code == 2
    assert said in capsys.readouterr().err
