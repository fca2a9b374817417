"""What is saved and copied goes on as if nothing had happened."""

import copy
import io
import pickle
from typing import Any

import torch

from ravine.errors import Mismatch
from ravine.optimizers.capabilities import one_line
from ravine.optimizers.driving import set_mode
from ravine.regression.contracts.tape import STEPS, Run, Seen, Subject, advance, begin, parting

HALF = STEPS // 2


def resumes(subject: Subject) -> Seen | None:
    """A fresh optimizer that loads a state goes on as the one that saved it."""
    run = begin(subject)
    advance(run, HALF)
    state = run.optimizer.state_dict()
    copies = {"copied": copy.deepcopy(state), "read from a file": _from_file(state)}
    starts = {words: _restarted(run, saved) for words, saved in copies.items()}
    path = advance(run, HALF)
    for words, other in starts.items():
        if part := parting(path, advance(other, HALF)):
            return Seen(f"{part.words}, with a state that was {words}", part.size)
    return None


def resumes_with_rate(subject: Subject) -> Seen | None:
    """A learning rate that was changed is saved and loaded with the rest."""
    run = begin(subject)
    if not all(isinstance(group.get("lr"), float) for group in run.optimizer.param_groups):
        raise Mismatch("its groups have no learning rate")
    advance(run, HALF)
    for group in run.optimizer.param_groups:
        group["lr"] /= 2
    other = _restarted(run, copy.deepcopy(run.optimizer.state_dict()))
    rates = [[group["lr"] for group in r.optimizer.param_groups] for r in (run, other)]
    if rates[0] != rates[1]:
        return Seen(f"a rate of {rates[1][0]:g} where {rates[0][0]:g} was saved")
    return None


def copies_deeply(subject: Subject) -> Seen | None:
    """A deep copy of parameters and optimizer goes on as they do, and leaves them alone."""
    run = begin(subject)
    advance(run, HALF)
    run.optimizer.zero_grad()
    parameters, optimizer = copy.deepcopy((run.parameters, run.optimizer))
    other = Run(subject, parameters, optimizer, run.at)
    there = advance(other, HALF)
    return parting(advance(run, HALF), there)


def pickles(subject: Subject) -> Seen | None:
    """Parameters and optimizer that were pickled go on as those that were not."""
    run = begin(subject)
    advance(run, HALF)
    run.optimizer.zero_grad()
    try:
        written = pickle.dumps((run.parameters, run.optimizer))
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        # torch makes no promise of it, and what is defined within a function never can
        raise Mismatch(f"it cannot be pickled: {one_line(error)}") from None
    parameters, optimizer = pickle.loads(written)
    other = Run(subject, parameters, optimizer, run.at)
    there = advance(other, HALF)
    return parting(advance(run, HALF), there)


def _restarted(run: Run, state: dict[str, Any]) -> Run:
    parameters = [p.detach().clone().requires_grad_() for p in run.parameters]
    other = begin(run.subject, parameters)
    other.optimizer.load_state_dict(state)
    set_mode(other.optimizer, training=True)
    other.at = run.at
    return other


def _from_file(state: dict[str, Any]) -> dict[str, Any]:
    file = io.BytesIO()
    torch.save(state, file)
    file.seek(0)
    found: dict[str, Any] = torch.load(file, weights_only=False)
    return found
