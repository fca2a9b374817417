"""What a failed assertion says."""

from typing import NoReturn


def fail(
    subject: str,
    *,
    expected: str,
    seen: str,
    n: int,
    of: str,
    chance: float = 0.0,
    given: str = "",
    more: str = "",
) -> NoReturn:
    """Raise the error of a failed assertion.

    Args:
        subject: what was looked at.
        expected: the end of the sentence "expected ...".
        seen: the end of the sentence "seen ...".
        n: how many were looked at.
        of: what they are, in the plural.
        chance: probability to see this or more if the assertion were true; 0 where
            nothing is random.
        given: what "true" means there, the end of "... if ...".
        more: a further sentence.

    Raises:
        AssertionError: always.

    Example:
        >>> fail("`adam`", expected="1", seen="2", n=3, of="runs", chance=0.01, given="it were 1")
        Traceback (most recent call last):
        ...
        AssertionError: `adam`: expected 1, seen 2 (n = 3 runs; probability by chance 1.0e-02 \
if it were 1)
    """
    __tracebackhide__ = True
    sure = f"probability by chance {chance:.1e} if {given}" if given else "deterministic"
    said = f"{subject}: expected {expected}, seen {seen} (n = {n} {of}; {sure})"
    raise AssertionError(f"{said}; {more}" if more else said)
