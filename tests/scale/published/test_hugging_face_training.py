"""transformers' Trainer, peft and accelerate train, save and load our models as they do their own."""

import os

import pytest
import torch
from accelerate import Accelerator, init_empty_weights, load_checkpoint_and_dispatch
from peft import AutoPeftModelForCausalLM, LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file
from scale.published.kinds import KINDS, MASK, TOKENS, VOCAB, close, kit, loaded
from transformers import AutoModelForCausalLM, Trainer, TrainerCallback, TrainingArguments, set_seed

from physlm_lite.scale import load_pretrained
from physlm_lite.scale.published.hugging_face_model import CACHE, PhyslmForCausalLM

load = AutoModelForCausalLM.from_pretrained
# peft asks transformers by a name that is going to be replaced
pytestmark = pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing.*:FutureWarning")


@pytest.fixture(params=KINDS)
def kind(request):
    return request.param


@pytest.fixture
def model(kind, tmp_path):
    return loaded(kind, tmp_path / "folder")


def rows(count, seed):
    """Texts of which each token is the one two before it."""
    half = torch.randint(2, VOCAB, (count, 2), generator=torch.Generator().manual_seed(seed))
    return [{"input_ids": row, "labels": row} for row in half.repeat(1, 5)]


class Spoil(TrainerCallback):
    """From the sixth step on, the rate is far too high."""

    def on_step_begin(self, args, state, control, **more):
        for group in more["optimizer"].param_groups if state.global_step >= 6 else ():
            group["lr"] = 3.0


class Gradient(TrainerCallback):
    """Keeps the gradient of the first step."""

    def on_pre_optimizer_step(self, args, state, control, **more):
        self.kept = more["model"].get_output_embeddings().weight.grad.clone()


def trainer(model, folder, data=None, **options):
    set_seed(0)
    arguments = TrainingArguments(
        str(folder),
        **{
            "per_device_train_batch_size": 8,
            "learning_rate": 1e-2,
            "max_steps": 12,
            "logging_strategy": "no",
            "save_strategy": "no",
            "report_to": [],
            "use_cpu": True,
            "disable_tqdm": True,
            "dataloader_pin_memory": False,
            **options,
        },
    )
    return Trainer(model, arguments, train_dataset=data or rows(96, seed=1), eval_dataset=rows(16, seed=2))


def loss_of(run):
    return run.evaluate()["eval_loss"]


@pytest.mark.parametrize("size", ["1GB", "100KB"])
def test_the_trainer_goes_on_where_it_was(kind, size, tmp_path, monkeypatch):
    save = PhyslmForCausalLM.save_pretrained  # the Trainer leaves the size of a file to its default
    monkeypatch.setattr(
        PhyslmForCausalLM, "save_pretrained", lambda self, *a, **k: save(self, *a, **{"max_shard_size": size, **k})
    )
    whole = trainer(loaded(kind, tmp_path / "0"), tmp_path / "run", save_strategy="steps", save_steps=6)
    before = loss_of(whole)
    whole.train()
    assert (tmp_path / "run/checkpoint-6/model.safetensors.index.json").exists() == (size == "100KB")
    resumed = trainer(loaded(kind, tmp_path / "1"), tmp_path / "again")
    resumed.train(resume_from_checkpoint=str(tmp_path / "run" / "checkpoint-6"))
    assert loss_of(resumed) == pytest.approx(loss_of(whole), abs=1e-5) and loss_of(whole) < 0.95 * before
    close(load_pretrained(tmp_path / "run" / "checkpoint-12")(TOKENS), whole.model.eval()(TOKENS).logits)


def test_the_trainer_ends_with_the_best_of_its_models(kind, tmp_path):
    options = {"save_steps": 3, "eval_steps": 3, "save_strategy": "steps", "eval_strategy": "steps"}
    best = trainer(loaded(kind, tmp_path / "0"), tmp_path / "best", load_best_model_at_end=True, **options)
    best.add_callback(Spoil())
    best.train()
    assert best.state.best_model_checkpoint.endswith(("checkpoint-3", "checkpoint-6"))
    assert loss_of(best) == pytest.approx(best.state.best_metric, abs=1e-5)


def test_accumulated_gradients_are_those_of_the_whole_batch(model, tmp_path):
    text = torch.arange(2, 10)
    data = [{"input_ids": text, "labels": text}, {"input_ids": text, "labels": torch.tensor([-100] * 6 + [8, 9])}]
    kept = []
    for batch, accumulated in ((2, 1), (1, 2)):
        options = {"per_device_train_batch_size": batch, "gradient_accumulation_steps": accumulated}
        run = trainer(load(tmp_path / "folder"), tmp_path, data, max_steps=1, max_grad_norm=0.0, **options)
        run.add_callback(watch := Gradient())
        run.train()
        kept.append(watch.kept)
    assert (kept[0] - kept[1]).norm() < 1e-5 * kept[0].norm()


@pytest.mark.parametrize("options", [None, {"use_reentrant": True}])
def test_layers_computed_again_give_the_same_gradients(kind, options, tmp_path):
    for number, more in enumerate([{}, {"experts": 2, "canon": "AC"}] if "Llama" in kind else [{}]):
        model = loaded(kind, tmp_path / str(number), **more).train()
        enable = getattr(model, "activation_checkpointing_enable", model.gradient_checkpointing_enable)
        disable = getattr(model, "activation_checkpointing_disable", model.gradient_checkpointing_disable)
        found = []
        for switch in (disable, lambda on=enable: on(options), disable):
            switch()
            calls = []
            hook = model.model.blocks[0].mixer.register_forward_hook(lambda *_, calls=calls: calls.append(1))
            output = model(TOKENS, labels=TOKENS)
            output.loss.backward()
            hook.remove()
            found.append((len(calls), [p.grad for p in model.parameters()]))
            model.zero_grad()
        assert [count for count, _ in found] == [1, 2, 1]
        for plain, again in zip(found[0][1], found[1][1], strict=True):
            close(again, plain, 1e-6)
    enable(options)
    assert model(TOKENS, use_cache=True).get(CACHE) is None  # it would be written twice
    written = model.generate(TOKENS, attention_mask=MASK, max_new_tokens=4, do_sample=False)
    assert torch.equal(written, model.eval().generate(TOKENS, attention_mask=MASK, max_new_tokens=4, do_sample=False))


def adapted(model, **options):
    return get_peft_model(model, LoraConfig(r=4, target_modules="all-linear", task_type="CAUSAL_LM", **options))


def test_an_adapter_reaches_every_layer_and_merges(model, tmp_path):
    right = model(TOKENS).logits
    with_adapter = adapted(model, init_lora_weights=False).eval()
    with_adapter(input_ids=TOKENS, attention_mask=MASK, labels=TOKENS).loss.backward()
    trained = {name: p for name, p in with_adapter.named_parameters() if p.requires_grad}
    linear = [m for m in kit_modules(tmp_path) if isinstance(m, torch.nn.Linear)]
    assert len(trained) == 2 * (len(linear) - 1)  # all but the head
    assert all(parameter.grad.abs().max() > 0 for parameter in trained.values())
    changed = with_adapter(input_ids=TOKENS).logits
    assert (changed - right).abs().max() > 0.1
    with with_adapter.disable_adapter():
        close(with_adapter(input_ids=TOKENS).logits, right)
    with_adapter.save_pretrained(tmp_path / "adapter")
    base = load(tmp_path / "folder")
    close(PeftModel.from_pretrained(base, tmp_path / "adapter").eval()(input_ids=TOKENS).logits, changed)
    close(AutoPeftModelForCausalLM.from_pretrained(tmp_path / "adapter").eval()(input_ids=TOKENS).logits, changed)
    merged = with_adapter.merge_and_unload()
    close(merged(TOKENS).logits, changed, 1e-4)
    merged.save_pretrained(tmp_path / "merged")
    close(load(tmp_path / "merged")(TOKENS).logits, changed, 1e-4)
    close(load_pretrained(tmp_path / "merged")(TOKENS), changed, 1e-4)


def kit_modules(tmp_path):
    return load_pretrained(tmp_path / "folder").modules()


def test_an_adapter_is_trained_and_goes_on(kind, tmp_path):
    options = {"max_steps": 20, "learning_rate": 1e-2}
    whole = trainer(
        adapted(loaded(kind, tmp_path / "0")), tmp_path / "run", save_strategy="steps", save_steps=6, **options
    )
    before = loss_of(whole)
    whole.train()
    after = loss_of(whole)
    assert after < before - 0.005
    assert not os.path.exists(tmp_path / "run" / "checkpoint-6" / "model.safetensors")
    resumed = trainer(adapted(loaded(kind, tmp_path / "1")), tmp_path / "again", **options)
    resumed.train(resume_from_checkpoint=str(tmp_path / "run" / "checkpoint-6"))
    assert loss_of(resumed) == pytest.approx(after, abs=1e-5)
    merged = resumed.model.merge_and_unload()
    merged.save_pretrained(tmp_path / "merged")
    close(load_pretrained(tmp_path / "merged")(TOKENS), merged.eval()(TOKENS).logits, 1e-4)


def test_accelerate_saves_and_loads(model, tmp_path):
    right = model(TOKENS).logits
    accelerator = Accelerator(cpu=True)
    prepared, optimizer = accelerator.prepare(model, torch.optim.SGD(model.parameters(), 0.1))
    accelerator.save_state(str(tmp_path / "state"))
    accelerator.save_model(prepared, str(tmp_path / "model"))
    state = accelerator.get_state_dict(prepared)
    accelerator.unwrap_model(prepared).save_pretrained(
        tmp_path / "published",
        is_main_process=accelerator.is_main_process,
        save_function=accelerator.save,
        state_dict=state,
    )
    assert torch.equal(load(tmp_path / "published")(TOKENS).logits, right)
    assert (
        load_file(tmp_path / "published" / "model.safetensors").keys()
        == load_file(tmp_path / "folder" / "model.safetensors").keys()
    )
    accelerator.backward(prepared(TOKENS, labels=TOKENS).loss)
    optimizer.step()
    assert (prepared(TOKENS).logits - right).abs().max() > 0.01
    accelerator.load_state(str(tmp_path / "state"))
    assert torch.equal(prepared(TOKENS).logits, right)
    with init_empty_weights():
        empty = AutoModelForCausalLM.from_config(model.config)
    filled = load_checkpoint_and_dispatch(empty, str(tmp_path / "model"), device_map={"": "cpu"}).eval()
    assert torch.equal(filled(TOKENS).logits, right)
    fresh = load_checkpoint_and_dispatch(PhyslmForCausalLM(model.config), str(tmp_path / "published")).eval()
    assert torch.equal(fresh(TOKENS).logits, right)


@pytest.mark.filterwarnings("ignore:Attempting to save a model with offloaded modules")
def test_a_part_of_the_model_may_lie_on_the_disk(kind, model, tmp_path):
    places = {f"model.{name}": "cpu" for name in ("embedding", "blocks.0", "norm", "head")}
    split = load(tmp_path / "folder", device_map={**places, "model.blocks.1": "disk"}, offload_folder=tmp_path / "disk")
    assert next(split.model.blocks[1].parameters()).is_meta
    assert torch.equal(split(TOKENS).logits, model(TOKENS).logits)
    options = {"attention_mask": MASK, "max_new_tokens": 4, "do_sample": False}
    assert torch.equal(split.generate(TOKENS, **options), model.generate(TOKENS, **options))
    split.save_pretrained(tmp_path / "again")
    assert torch.equal(load(tmp_path / "again")(TOKENS).logits, model(TOKENS).logits)
    close(load_pretrained(tmp_path / "again")(TOKENS), kit(kind)(TOKENS))
