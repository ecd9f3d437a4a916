"""A teaching and replication kit for *Physics of Language Models*.

Everything follows the way that data takes: task, batch, model, training, run record, claim, figure.
The sub-packages carry the names of these stations.
"""

__version__ = "0.1.0"
