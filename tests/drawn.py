"""What a figure shows, read back from it."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import PathCollection, QuadMesh


def dots_of(axis: Axes) -> np.ndarray:
    """[dot, (x, y)] of all that is scattered in a panel."""
    found = [np.asarray(drawn.get_offsets()) for drawn in axis.collections if isinstance(drawn, PathCollection)]
    return np.concatenate(found) if found else np.zeros((0, 2))


def heat_of(axis: Axes) -> np.ma.MaskedArray:
    """[row, column] of the heat map of a panel."""
    (mesh,) = (drawn for drawn in axis.collections if isinstance(drawn, QuadMesh))
    return np.ma.asarray(mesh.get_array())
