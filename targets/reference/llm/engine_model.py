"""Run by the engine's own Python (torch, transformers): makes a small Llama with random weights and its tokenizer.

Usage: python engine_model.py FOLDER CORPUS. CORPUS is a folder of JSON lines; the tokenizer is a byte-level BPE trained
on their texts; nothing is downloaded. There is no end-of-sequence token, so an answer has exactly max_tokens tokens, and
the weights are such that greedy decoding never writes half a UTF-8 character, so every token is an event of its own.
Imports nothing of this project.
"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import torch  # type: ignore[import-not-found]  # the engine's own environment has it
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (  # type: ignore[import-not-found]
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
)

VOCABULARY, HIDDEN, LAYERS, HEADS = 4000, 256, 6, 4
CHAT_TEMPLATE = "{% for message in messages %}{{ message['role'] }}: {{ message['content'] }}\n{% endfor %}assistant:"


def texts(corpus: Path) -> Iterator[str]:
    for path in sorted(corpus.glob("*.jsonl")):
        for line in path.read_text(encoding="utf-8").splitlines():
            yield from (value for value in json.loads(line).values() if isinstance(value, str))


def make_tokenizer(corpus: Path) -> PreTrainedTokenizerFast:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY, special_tokens=["<pad>"], initial_alphabet=pre_tokenizers.ByteLevel.alphabet()
    )
    tokenizer.train_from_iterator(texts(corpus), trainer)
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="<pad>")
    fast.chat_template = CHAT_TEMPLATE
    return fast


def make_model(tokenizer: PreTrainedTokenizerFast) -> LlamaForCausalLM:
    torch.manual_seed(1)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=HIDDEN,
        intermediate_size=688,
        num_hidden_layers=LAYERS,
        num_attention_heads=HEADS,
        num_key_value_heads=HEADS,
        max_position_embeddings=4096,
        bos_token_id=None,
        eos_token_id=None,
        pad_token_id=0,
    )
    model = LlamaForCausalLM(config)
    model.generation_config.eos_token_id = None
    never = [token for token in range(len(tokenizer)) if not _is_text(tokenizer, token)]
    with torch.no_grad():
        model.lm_head.weight[never] = 0
    return model


def _is_text(tokenizer: PreTrainedTokenizerFast, token: int) -> bool:
    text = tokenizer.decode([token], skip_special_tokens=True)
    return bool(text) and "\ufffd" not in text


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    tokenizer = make_tokenizer(Path(sys.argv[2]))
    tokenizer.save_pretrained(folder)
    model = make_model(tokenizer)
    model.save_pretrained(folder)
    print(f"{sum(p.numel() for p in model.parameters()) / 1e6:.1f} million parameters, {len(tokenizer)} tokens")
