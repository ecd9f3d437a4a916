"""What a trained model can do: probes of real text."""

from .birth_years import BirthYears
from .filler import Filler, python_documentation
from .needles import Needle
from .probe import Probe, ProbeSource, evaluate_probes
from .stories import Story

__all__ = ["BirthYears", "Filler", "Needle", "Probe", "ProbeSource", "Story", "evaluate_probes", "python_documentation"]
