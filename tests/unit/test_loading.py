"""Objects of a user's own are found where they are said to be, and mistakes are explained."""

import os
import pickle
import sys
from pathlib import Path

import pytest

from ravine.errors import BadValue, UnknownName
from ravine.loading import load_object


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty current folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_file_is_found_from_the_current_folder(here: Path) -> None:
    """A relative path starts at the current folder, an absolute one anywhere."""
    (here / "mine.py").write_text("answer = 42\n")
    assert load_object("mine.py:answer", "problem") == 42
    assert load_object(f"{here}/mine.py:answer", "problem") == 42


def test_a_package_is_imported() -> None:
    """`package.module:name` is what an import statement would give."""
    assert load_object("ravine.loading:load_object", "method") is load_object


def test_the_same_file_is_loaded_once(here: Path) -> None:
    """Two names of one file share its module, and so its state."""
    (here / "mine.py").write_text("shared = []\nalso = shared\n")
    assert load_object("mine.py:shared", "problem") is load_object("mine.py:also", "problem")


def test_an_edited_file_is_read_anew(here: Path) -> None:
    """A change of the file is a change of the object."""
    (here / "mine.py").write_text("answer = 42\n")
    load_object("mine.py:answer", "problem")
    (here / "mine.py").write_text("answer = 'another'\n")
    assert load_object("mine.py:answer", "problem") == "another"


def test_an_edit_of_the_same_size_in_the_same_second_is_read_anew(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bytecode is kept by size and second, which two edits can share; the content decides."""
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    for answer in (42, 43):
        (here / "mine.py").write_text(f"answer = {answer}\n")
        os.utime(here / "mine.py", (1e9, 1e9))
        assert load_object("mine.py:answer", "problem") == answer


def test_files_of_one_name_do_not_meet(here: Path) -> None:
    """Two folders may each have a file of the same name."""
    for name in ("a", "b"):
        (here / name).mkdir()
        (here / name / "mine.py").write_text(f"answer = {name!r}\n")
    assert load_object("a/mine.py:answer", "problem") == "a"
    assert load_object("b/mine.py:answer", "problem") == "b"


def test_siblings_can_be_imported_and_the_path_is_left_as_it_was(here: Path) -> None:
    """The file's folder is on `sys.path` while it loads, and not after."""
    (here / "sibling_of_mine.py").write_text("answer = 42\n")
    (here / "mine.py").write_text("from sibling_of_mine import answer\n")
    before = list(sys.path)
    assert load_object("mine.py:answer", "problem") == 42
    assert sys.path == before


def test_classes_of_a_file_can_be_pickled(here: Path) -> None:
    """Pickle finds the module again, which workers of this process tree need."""
    (here / "mine.py").write_text("class Thing:\n    pass\n")
    thing = load_object("mine.py:Thing", "method")
    assert pickle.loads(pickle.dumps(thing)) is thing


def test_a_name_without_a_colon_says_how_to_write_it() -> None:
    """The message shows both forms."""
    with pytest.raises(BadValue, match=r"`mine` does not name a method; write `path/to/file.py:"):
        load_object("mine", "method")


def test_a_missing_file_suggests_its_neighbours(here: Path) -> None:
    """A misspelt file name is met with the files that are there."""
    (here / "objective.py").write_text("")
    with pytest.raises(UnknownName, match=r"did you mean `objective.py`"):
        load_object("objctive.py:f", "problem")


def test_a_missing_file_far_from_all_others_says_where_paths_start(here: Path) -> None:
    """Without a close match the message says what relative paths are relative to."""
    with pytest.raises(UnknownName, match=r"no file `nowhere/x.py`; paths start at the current"):
        load_object("nowhere/x.py:f", "problem")


def test_a_missing_name_suggests_close_ones(here: Path) -> None:
    """A misspelt function is met with the functions that are there."""
    (here / "mine.py").write_text("def valley(x):\n    return x\n")
    with pytest.raises(UnknownName, match="unknown problem `vally`; did you mean `valley`"):
        load_object("mine.py:vally", "problem")


def test_a_missing_module_says_install_or_name_a_file() -> None:
    """A module that is not installed is not a crash of the import system."""
    with pytest.raises(UnknownName, match="no module `not_there`; install it"):
        load_object("not_there:f", "problem")


@pytest.mark.parametrize(
    ("code", "error"),
    [("1 / 0", "ZeroDivisionError"), ("def f(:", "SyntaxError"), ("import not_there", "not_there")],
)
def test_a_file_that_raises_says_so(here: Path, code: str, error: str) -> None:
    """The error of the user's own code is shown, and no half-made module stays behind."""
    (here / "mine.py").write_text(code + "\n")
    before = set(sys.modules)
    with pytest.raises(BadValue, match=f"`mine.py` cannot be loaded: .*{error}"):
        load_object("mine.py:f", "problem")
    assert set(sys.modules) == before


def test_an_installed_module_that_lacks_another_is_not_called_missing(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A module whose own import fails is named together with what it lacks."""
    (here / "lacking_module.py").write_text("import not_there\n")
    monkeypatch.syspath_prepend(str(here))
    with pytest.raises(BadValue, match=r"`lacking_module` cannot be imported: .*not_there"):
        load_object("lacking_module:f", "problem")
