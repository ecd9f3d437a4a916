"""A teaching and replication kit for *Physics of Language Models*.

Everything follows the way that data takes: task, batch, model, training, run record, claim, figure.
The sub-packages carry the names of these stations.
"""

from .registration import register, register_when_imported

__all__ = ["register"]
__version__ = "0.1.0"

register_when_imported()  # our models to transformers; imports nothing
del register_when_imported
