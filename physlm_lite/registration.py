"""Make our models known to transformers, without importing it: that would take seconds, and it may not be installed.

transformers finds a model's class by the "model_type" in its config.json. It has no entry points for other packages:
whoever brings a class registers it with `AutoConfig.register` once transformers is there. So this happens right away if
it has been imported, and otherwise at the end of the import of the module that holds AutoConfig.

The class of the models needs all of transformers, which is not there yet at that moment; it is registered as soon as a
configuration is made.
"""

from __future__ import annotations

import importlib.util
import sys
import warnings
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

AUTO = "transformers.models.auto.configuration_auto"


def register() -> None:
    """Make our models known to the Auto classes of transformers, now; importing `physlm_lite` does it as well."""
    from transformers.models.auto.configuration_auto import AutoConfig

    from .scale.published.hugging_face_config import KINDS, PhyslmConfig

    PhyslmConfig.when_made = _register_model
    for model_type, kind in KINDS.items():
        AutoConfig.register(model_type, kind, exist_ok=True)


def _register_model() -> None:
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING

    from .scale.published.hugging_face_config import KINDS

    try:
        from .scale.published.hugging_face_model import PhyslmConfig, PhyslmForCausalLM
    except ImportError as error:
        raise ImportError(f"the models of physlm_lite need transformers 4.56 or newer ({error})") from error

    PhyslmConfig.when_made = None
    for kind in KINDS.values():  # AutoModelForCausalLM.register takes one for each class of models
        MODEL_FOR_CAUSAL_LM_MAPPING.register(kind, PhyslmForCausalLM, exist_ok=True)


def register_when_imported() -> None:
    """`register` now, or as soon as transformers has been imported."""
    if AUTO in sys.modules:
        _try_to_register()
    elif not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder())


def _try_to_register() -> None:
    try:
        register()
    except Exception as error:  # whatever this version of transformers dislikes, importing it must not fail for us
        warnings.warn(f"physlm_lite could not register its models with transformers: {error}", stacklevel=2)


class _Finder(MetaPathFinder):
    """Lets the others find `AUTO`, and adds to what happens when it is executed; then it is gone."""

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        """Nothing, except for the one module."""
        if name != AUTO:
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        if spec is not None and spec.loader is not None:
            execute = spec.loader.exec_module

            def exec_module(module: ModuleType) -> None:
                execute(module)
                if module.__name__ == AUTO:  # some loaders serve several modules
                    _try_to_register()

            # The loader stays what it is, so that everything that asks for sources and resources still works.
            setattr(spec.loader, "exec_module", exec_module)  # noqa: B010
        return spec
