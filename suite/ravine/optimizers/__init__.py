"""Who minimises: methods by name, their settings and what they demand."""

from ravine.optimizers.base import Knob, Method, Scale, Setting
from ravine.optimizers.catalogue import method, methods, register
from ravine.optimizers.space import trials

__all__ = ["Knob", "Method", "Scale", "Setting", "method", "methods", "register", "trials"]
