"""From an id to a method: names, hyperparameters, a user's own classes, messages."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ravine.errors import BadValue, UnknownName
from ravine.optimizers import Knob, Method, Scale, Setting, catalogue, method, methods, trials
from ravine.optimizers.base import LEARNING_RATE
from ravine.optimizers.hyperparameters import KNOWN, hyperparameters
from ravine.registry import Entry, Registry

LION = '''
import torch

from ravine.optimizers import Method


class Lion(torch.optim.Optimizer):
    """Lion: the sign of an interpolated momentum."""

    def __init__(self, params, lr=1e-4, betas=(0.9, 0.99), weight_decay=0.0):
        if lr < 0:
            raise ValueError(f"lr must not be\\nnegative, got {lr}.")
        super().__init__(params, dict(lr=lr, betas=betas, weight_decay=weight_decay))

    @torch.no_grad()
    def step(self, closure=None):
        for group in self.param_groups:
            b1, b2 = group["betas"]
            for p in group["params"]:
                m = self.state[p].setdefault("m", torch.zeros_like(p))
                p.mul_(1 - group["lr"] * group["weight_decay"])
                p.sub_(group["lr"] * (b1 * m + (1 - b1) * p.grad).sign())
                m.lerp_(p.grad, 1 - b2)


class Child(Lion):
    def __init__(self, params, extra=1, **kwargs):
        super().__init__(params, **kwargs)


class Needy(Lion):
    def __init__(self, params, lr, horizon, warmup):
        super().__init__(params, lr)


class Rateless(torch.optim.SGD):
    def __init__(self, params):
        super().__init__(params, lr=0.1)


def halved(params, lr=0.1):
    return Lion(params, lr=lr / 2)


def wrapped(base="lion", lr=0.1) -> Method:
    return Method(base, Lion, (), {"lr": lr})


def not_one(params, lr=0.1):
    return "an optimizer"


def broken(params, lr=0.1):
    raise RuntimeError("no such device")


ready = Method("mine", Lion)
number = 3.0


class Other:
    pass
'''


@pytest.fixture
def lion(tmp_path, monkeypatch):
    """A user's file `lion.py` in the current folder."""
    (tmp_path / "lion.py").write_text(LION)
    monkeypatch.chdir(tmp_path)


def setting_of(name):
    """The only setting of a method without knobs."""
    (setting,) = trials(method(name))
    return setting


@pytest.mark.parametrize("name", list(methods))
def test_a_setting_reads_back(name):
    """A setting's name names a method without knobs and with the same hyperparameters."""
    for setting in trials(method(name)):
        again = setting_of(setting.name)
        assert again.method.knobs == ()
        assert again.name == setting.name
        assert again.hyper == setting.hyper
        assert again.method.build is setting.method.build


def test_a_tuned_setting_reads_back():
    """Values take the place of `tune`, so that names of settings stay ids."""
    made = method("adamw(eps=1e-6, weight_decay=tune(1e-4, 1e-1), lr=tune)")
    for setting in trials(made, 5):
        assert setting.name.startswith("adamw(eps=1e-06, weight_decay=")
        assert setting_of(setting.name).hyper == setting.hyper


@settings(deadline=None, max_examples=30)
@given(
    lr=st.floats(0, 10),
    betas=st.tuples(st.floats(0, 0.999), st.floats(0, 0.999)),
    amsgrad=st.booleans(),
)
def test_canonical_names_are_fixed_points(lr, betas, amsgrad):
    """Reading a canonical name gives the same name and the same values again."""
    once = method(f"  adamw( lr={lr},betas={betas} , amsgrad={amsgrad})")
    again = method(once.name)
    assert again == once
    assert again.fixed == {"lr": lr, "betas": betas, "amsgrad": amsgrad}


def test_every_method_has_the_same_rates():
    """Whatever its name, the learning rate is tuned over the same decades, if there is one."""
    without = {name for name in methods if method(name).knobs != (LEARNING_RATE,)}
    # the first takes its step from the loss, the others get their optimizer by other words
    assert without <= {"pytorch_optimizer.alig", "heavyball.samwrapper", "heavyball.splitopt"}
    assert all(method(name).knobs == () for name in without)
    assert Knob("lr", 1e-7, 10.0, Scale.LOG) == LEARNING_RATE


def test_false_is_false_however_it_is_written():
    """A small `false` is no word that counts as true: Nesterov's momentum is off."""
    for word in ("False", "false"):
        assert method(f"sgd(lr=0.1, momentum=0.9, nesterov={word})").fixed["nesterov"] is False


def test_fixed_hyperparameters_leave_the_space():
    """What the id gives a value is in every setting and is no knob."""
    made = method("heavy_ball(lr=0.1)")
    assert made.knobs == ()
    assert made.fixed == {"momentum": 0.9, "lr": 0.1}
    assert method("heavy_ball(momentum=0.5)").fixed == {"momentum": 0.5}
    assert method("heavy_ball(momentum=tune)").fixed == {}


@pytest.mark.parametrize(
    ("id", "knobs"),
    [
        ("adam(lr=tune)", (LEARNING_RATE,)),
        ("adam(weight_decay=tune)", (LEARNING_RATE, KNOWN["weight_decay"])),
        ("adam(lr=tune(1e-3, 1))", (Knob("lr", 1e-3, 1.0),)),
        (
            "adam(lr=tune(0, 1, scale=linear), eps=tune())",
            (Knob("lr", 0.0, 1.0, Scale.LINEAR), KNOWN["eps"]),
        ),
        ("adadelta(lr=1, rho=tune)", (KNOWN["rho"],)),
        (
            "sgd(dampening=tune(0, 0.9, scale=complement), lr=1)",
            (Knob("dampening", 0.0, 0.9, Scale.COMPLEMENT),),
        ),
    ],
)
def test_tune_asks_for_knobs(id, knobs):
    """`tune` takes the range the name is known by, `tune(low, high)` its own."""
    assert method(id).knobs == knobs


def test_methods_are_keys():
    """Equal ids give equal methods with equal hashes, and so do settings."""
    assert {method("adam(lr=0.1, betas=(0.5, 0.9))"), method("adam(lr=0.1,betas=(0.5,0.9))")} == {
        method("adam(lr=0.1, betas=(0.5, 0.9))")
    }
    assert len({Setting(method("sgd"), (("lr", 0.1),)) for _ in range(2)}) == 1


def test_a_class_from_a_file(lion):
    """A user's class is a method with its file in its name, and takes hyperparameters."""
    made = method("lion.py:Lion( weight_decay=0.1 )")
    assert made.name == "lion.py:Lion(weight_decay=0.1)"
    assert made.knobs == (LEARNING_RATE,)
    x = torch.ones(3, requires_grad=True)
    optimizer = trials(made)[3].optimizer([x])
    assert optimizer.defaults == {"lr": 3.98107e-06, "betas": (0.9, 0.99), "weight_decay": 0.1}
    assert trials(made)[3].name == "lion.py:Lion(weight_decay=0.1, lr=3.98107e-06)"


def test_a_class_from_a_package(tmp_path, monkeypatch):
    """`package.module:Class` works for an installed package, and for torch itself."""
    folder = tmp_path / "savanna"
    folder.mkdir()
    (folder / "__init__.py").touch()
    (folder / "cats.py").write_text(LION)
    monkeypatch.syspath_prepend(str(tmp_path))
    assert method("savanna.cats:Lion(lr=0.5)").fixed == {"lr": 0.5}
    assert method("torch.optim:Adam").build is torch.optim.Adam


def test_hyperparameters_pass_through_kwargs(lion):
    """A class that passes `**kwargs` on takes what its parent takes, and nothing else."""
    made = method("lion.py:Child(extra=2, weight_decay=0.5)")
    assert list(hyperparameters(made.build)) == ["extra", "lr", "betas", "weight_decay"]
    assert made.knobs == (LEARNING_RATE,)
    with pytest.raises(BadValue, match="unknown hyperparameter `weights`"):
        method("lion.py:Child(weights=2)")


def test_required_arguments_in_brackets(lion):
    """A required learning rate is tuned, other required arguments come from the id."""
    made = method("lion.py:Needy(horizon=10, warmup=2)")
    assert made.knobs == (LEARNING_RATE,)
    assert trials(made, 1)[0].hyper["lr"] == pytest.approx(1e-3, rel=1e-5)


def test_no_learning_rate_no_knob(lion):
    """A method without a learning rate has one setting."""
    assert method("lion.py:Rateless").knobs == ()
    assert [s.name for s in trials(method("lion.py:Rateless"))] == ["lion.py:Rateless"]


def test_functions_and_methods_from_a_file(lion):
    """A function returning an optimizer, one returning a method, and a method will do."""
    x = [torch.ones(3)]
    assert setting_of("lion.py:halved(lr=0.1)").optimizer(x).defaults["lr"] == 0.05
    assert setting_of("lion.py:wrapped(lr=0.2)").optimizer(x).defaults["lr"] == 0.2
    assert method("lion.py:wrapped(lr=0.2)").name == "lion.py:wrapped(lr=0.2)"
    assert method("lion.py:ready").name == "lion.py:ready"
    assert method("lion.py:ready(lr=0.2)").fixed == {"lr": 0.2}


def test_entry_points_may_be_classes_or_factories(lion, monkeypatch):
    """A plug-in's entry point is an optimizer class or a function returning a method."""
    fresh: Registry[Method] = Registry("method", modules=(), group="nothing.registers.here")
    Lion = method("lion.py:Lion").build
    fresh.add(Entry("lion", Lion, frozenset({"plugin"})))

    def slow_lion(lr: float = 1e-5) -> Method:
        return Method("", Lion, (), {"lr": lr})

    fresh.add(Entry("slow_lion", slow_lion, frozenset({"plugin"})))
    monkeypatch.setattr(catalogue, "methods", fresh)
    assert method("lion(betas=(0.5, 0.9))").fixed == {"betas": (0.5, 0.9)}
    assert method("slow_lion(lr=0.1)").name == "slow_lion(lr=0.1)"


def test_register_adds_a_class_once(monkeypatch):
    """`register` names a class in lower case, keeps its tags, and refuses a name taken."""
    fresh: Registry[Method] = Registry("method", modules=(), group="nothing.registers.here")
    monkeypatch.setattr(catalogue, "methods", fresh)
    add = catalogue.register("mine", fixed={"momentum": 0.5}, source="a paper")
    assert add(torch.optim.SGD) is torch.optim.SGD
    assert method("sgd").fixed == {"momentum": 0.5}
    assert method("sgd").source == "a paper"
    assert fresh.tagged("mine") == ["sgd"]
    with pytest.raises(BadValue, match="registered twice"):
        add(torch.optim.SGD)


WRONG = [
    ("adamm", UnknownName, "did you mean `adam`"),
    ("adamw(lrr=1)", BadValue, "did you mean `lr`? (it takes lr=0.001, betas=(0.9, 0.999)"),
    ("adamw(zzz=1)", BadValue, "(it takes lr=0.001"),
    ("adamw(lr=-1)", BadValue, "Invalid learning rate: -1; try the default, lr=0.001"),
    ("muon(lr=-1)", BadValue, "try the default, lr=0.001"),
    ("adam(betas=(0.9,))", BadValue, "try the default, betas=(0.9, 0.999)"),
    ("adam(lr=fast)", BadValue, "try the default, lr=0.001"),
    ("adam(foreach=True, fused=True)", BadValue, "try the default, foreach=None, fused=None"),
    ("adam(1e-3, (0.9, 0.99))", BadValue, "write `adam(lr=0.001, betas=(0.9, 0.99))`"),
    ("adam(lr=tune(1, 0.1))", BadValue, "write `lr=tune(low, high)`"),
    ("adam(lr=tune(0, 1))", BadValue, "add `scale=linear`"),
    ("adam(lr=tune(1, inf))", BadValue, "write `lr=tune(low, high)`"),
    ("adam(eps=tune(0.1, 1, scale=complement))", BadValue, "write `eps=tune(low, high)`"),
    ("adam(lr=tune(1))", BadValue, "write `lr=tune(low, high)`"),
    ("adam(lr=tune(a, b))", BadValue, "write `lr=tune(low, high)`"),
    ("adam(lr=tune(1, 2, scale=cubic))", BadValue, "`scale=` log, linear or complement"),
    ("adam(lr=tune(1, 2, step=1))", BadValue, "write `lr=tune(low, high)`"),
    ("adam(betas=tune)", BadValue, "give it a value"),
    ("adam(betas=(tune, 0.9))", BadValue, "give it numbers"),
    ("adam(amsgrad=tune(0, 1))", BadValue, "give it a value"),
    ("lbfgs(history_size=tune(1, 9))", BadValue, "give it a value"),
    ("sgd(dampening=tune)", BadValue, "write `dampening=tune(low, high)`"),
    ("lion.py:Lion(lr=-1)", BadValue, "lr must not be negative, got -1; try the default"),
    ("lion.py:Needy", BadValue, "in brackets, `lion.py:Needy(horizon=..., warmup=...)`"),
    ("lion.py:Other", BadValue, "derive it from torch.optim.Optimizer"),
    ("lion.py:number", BadValue, "derive it from torch.optim.Optimizer"),
    ("lion.py:not_one", BadValue, "derive it from torch.optim.Optimizer"),
    ("lion.py:broken", BadValue, "no such device; it must take a list of parameters and return"),
    ("lion.py:Lyon", UnknownName, "did you mean `Lion`"),
    ("torch:zeros", BadValue, "derive it from torch.optim.Optimizer"),
]


@pytest.mark.parametrize(("id", "kind", "remedy"), WRONG)
def test_wrong_input_is_answered_with_a_remedy(lion, id, kind, remedy):
    """Each mistake is met by one sentence that names it in backticks and says the remedy."""
    with pytest.raises(kind) as caught:
        method(id)
    message = str(caught.value)
    assert remedy in message
    assert "`" in message
    assert "\n" not in message
    assert ". " not in message
    assert not message.endswith(".")


def test_capability_errors_are_no_bad_values():
    """Muon's refusal of vectors is not taken for a refusal of the values given."""
    assert method("muon(lr=0.1, momentum=0.9)").fixed == {"lr": 0.1, "momentum": 0.9}
