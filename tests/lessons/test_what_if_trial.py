"""The lab's state: whatever its controls allow builds, is priced and learns; whatever they grey out the library refuses."""

from __future__ import annotations

import math
import random
from typing import Any

import pytest

from physlm_lite.base.strict import UnknownName, hints
from physlm_lite.claims.settings import small_settings
from physlm_lite.lessons.what_if_lab.offers import (
    BUDGET,
    GROUPS,
    LEFT_TO_THE_SETTING,
    MODEL,
    Control,
    Option,
    controls,
    kinds,
    settings_of,
    task_options,
    turned,
)
from physlm_lite.lessons.what_if_lab.price import price
from physlm_lite.lessons.what_if_lab.trial import Trial
from physlm_lite.models import ModelConfig
from physlm_lite.models.canon import PLACES
from physlm_lite.tasks.presets import KINDS
from physlm_lite.training import Run, Trainer, Training

pytestmark = pytest.mark.usefixtures("one_thread")
SHARDS, EACH = 33, 61  # 2,013 trials in all, 61 of them a day
TURNS = 12  # of controls, from a setting to a trial
FALLS_AWAY = {"mixer": {"mixer_options": {}}, "mlp": {"hidden": None}}  # with the value that it belongs to
FREE = 8e9  # bytes of memory: what is priced does not depend on the machine


def all_controls(trial: Trial) -> list[Control]:
    return [kinds(trial), *(control for group in GROUPS for control in controls(trial, group))]


def wander(dice: random.Random) -> Trial:
    """A trial that the controls lead to, click after click."""
    trial = Trial(dice.choice([name for kind in KINDS for name in settings_of(kind)]))
    for _ in range(dice.randrange(TURNS + 1)):
        group = dice.choice(GROUPS)
        control = dice.choice(controls(trial, group)[group == "task" :])  # another setting would begin anew
        allowed = [option for option in control.options if not option.refusal]
        trial = turned(trial, control, dice.choice(allowed).value) if allowed else trial
    return trial


def by_hand(trial: Trial, control: Control, option: Option) -> Run:
    """The run that a greyed value asks for, put together without the lab's state."""
    base, (part, _, name) = trial.base, control.path.partition(".")
    task, model = {**base.task_options, **trial.task}, {**base.model, **trial.model}
    value: Any = option.value
    if control.path == "model.canon":
        value = "".join(place for place in PLACES if (place in trial.config.canon) != (place == value))
    if part == "task":
        return Run(base.task, {**task, name: value}, model)
    if part == "mixer":
        return Run(base.task, task, {**model, "mixer_options": {**trial.config.mixer_options, name: value}})
    if name == "width" and trial.config.hidden is not None:
        model["hidden"] = trial.config.hidden * value // trial.config.width
    return Run(base.task, task, {**model, name: value, **FALLS_AWAY.get(name, {})})


@pytest.mark.sampled(SHARDS)
@pytest.mark.parametrize("shard", range(SHARDS))
def test_what_the_controls_allow_builds_is_priced_and_learns_and_what_they_grey_out_is_refused(shard: int) -> None:
    dice, greyed = random.Random(shard), 0
    for _ in range(EACH):
        trial = wander(dice)
        assert Trial.from_text(trial.to_text()) == trial, trial.to_text()
        found = price(trial, available=int(FREE))
        assert found.refusal or found.memory > 0, trial.to_text()
        assert min(found.seconds, found.operations, found.parameters, found.runs) > 0 and math.isfinite(found.seconds)
        trainer = Trainer(trial.runs[0], "cpu")
        assert found.parameters == sum(p.numel() for p in trainer.model.parameters()), trial.to_text()
        assert math.isfinite(trainer.train_step()), trial.to_text()
        for control, option in [(c, o) for c in all_controls(trial) for o in c.options if o.refusal]:
            if control.path in ("task.kind", "setting"):  # the chosen architecture does not go with it
                with pytest.raises(ValueError) as caught:
                    Trial(
                        option.value if control.path == "setting" else settings_of(option.value)[0], model=trial.model
                    )
            else:
                with pytest.raises(ValueError) as caught:
                    _ = by_hand(trial, control, option).model_config
            assert str(caught.value) == option.refusal, (trial.to_text(), control.path, option.value)
            greyed += 1
    assert greyed > EACH, "hardly anything was greyed out, so that hardly anything was tried"


def test_every_option_of_a_model_and_of_a_training_has_one_place() -> None:
    of_model = [name for names in MODEL.values() for name in names] + list(LEFT_TO_THE_SETTING[ModelConfig])
    of_training = [*BUDGET, *LEFT_TO_THE_SETTING[Training]]
    assert sorted(of_model) == sorted(hints(ModelConfig)) and sorted(of_training) == sorted(hints(Training))


def test_every_setting_on_which_a_claim_is_judged_can_be_chosen() -> None:
    for kind in (kind for kind in KINDS if settings_of(kind)):
        for name in settings_of(kind):
            trial = Trial(name)
            assert trial.runs[0].training.steps == small_settings()[name].training.steps
            assert trial.metric.name in trial.made_task.metrics
        assert task_options(kind)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("https://example.org", "a trial is written physlm:what-if"),
        ("physlm:what-if?" + "x" * 5000, "a trial is written"),
        ("physlm:what-if?setting", "name=value&name=value"),
        ("physlm:what-if?setting=depo,+toi", "unknown setting 'depo, toi'; did you mean 'depo, toy'"),
        ("physlm:what-if?colour=red", "unknown part of a trial 'colour'"),
        ("physlm:what-if?model.widht=8", "unknown ModelConfig option 'widht'; did you mean 'width'"),
        ("physlm:what-if?model.width=eight", "ModelConfig option width must be a whole number"),
        ("physlm:what-if?model.width=8&model.width=16", "model.width stands twice"),
        ("physlm:what-if?model.canon=BK", "canon 'B' mixes query, key and value already"),
        ("physlm:what-if?mixer.state=32", "mixer_options are for a mixer other than attention"),
        ("physlm:what-if?model.mixer=gla&mixer.stale=3", "unknown GLAConfig option 'stale'"),
        ("physlm:what-if?model.mixer=glu", "unknown mixer 'glu'; did you mean 'gla'"),
        ("physlm:what-if?model.vocab=8", "vocab"),
        ("physlm:what-if?training.learning_rate=1", "chosen by rates"),
        ("physlm:what-if?seeds=", "seeds are numbers with commas"),
        ("physlm:what-if?seeds=-1", "seeds"),
        ("physlm:what-if?rates=fast", "rates are numbers with commas"),
        ("physlm:what-if?rates=nan", "rates"),
        ("physlm:what-if?rates=0", "must be a positive number"),
        ("physlm:what-if?task.n=1", "Copy option n must be a whole number from 2"),
    ],
)
def test_a_wrong_text_is_refused_in_one_sentence(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said.replace("?", r"\?")) as caught:
        Trial.from_text(text)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 700


def test_two_spellings_of_a_trial_are_one_and_an_unknown_option_is_refused() -> None:
    usual = Trial("copying, toy", task={"n": 24}, model={"canon": ""}, training={"steps": 500}, rates=(4e-3, 4e-3))
    assert usual == Trial("copying, toy") and usual.name == "as the setting"
    wide = usual.but("model.canon", "AC").but("model.width", 64)
    assert wide == usual.but("model.width", 64).but("model.canon", "AC") != usual
    assert wide.but("setting", "depo, rings").model == {"canon": "AC"}  # the width is that setting's own
    with pytest.raises(UnknownName, match="did you mean 'width'"):
        usual.but("model.widht", 3)
    with pytest.raises(UnknownName, match="did you mean 'steps'"):
        usual.but("training.stepps", 3)
    with pytest.raises(ValueError, match="needs a seed"):
        usual.but("seeds", ())
