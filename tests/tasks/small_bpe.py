"""A byte-level tokenizer of GPT-2's kind, small enough to train in a test."""

from physlm_lite.tasks.people import ATTRIBUTES, read_sentences


def train_small_bpe(folder) -> str:
    """Write vocab.json and merges.txt into the folder, and return its name."""
    from tokenizers import ByteLevelBPETokenizer

    texts = [template for attribute in ATTRIBUTES for template in read_sentences(attribute)]
    tokenizer = ByteLevelBPETokenizer()
    tokenizer.train_from_iterator([*texts, *[" Inc.. Bros.. He was She was"] * 50], vocab_size=700, show_progress=False)
    folder.mkdir(exist_ok=True)
    tokenizer.save_model(str(folder))
    return str(folder)
