"""A tiny encoder with random weights, of the kind that most embedding models are: BERT, with its word pieces."""

from __future__ import annotations

from pathlib import Path

import gguf
import numpy as np

CONTROL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
#: The marker of a word's beginning, then its letters; the same letters go on inside a word without it.
LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789"
#: Width, layers, heads and hidden width of the network; tokens that it was made for.
WIDTH, LAYERS, HEADS, HIDDEN, CONTEXT = 48, 2, 4, 96, 128


def make(path: Path, *, pooling: gguf.PoolingType = gguf.PoolingType.CLS) -> Path:
    """Write the model to `path` and return it."""
    tokens = [*CONTROL, *(f"\N{LOWER ONE EIGHTH BLOCK}{letter}" for letter in LETTERS), *LETTERS]
    kinds = [gguf.TokenType.CONTROL] * len(CONTROL) + [gguf.TokenType.NORMAL] * (len(tokens) - len(CONTROL))
    writer = gguf.GGUFWriter(str(path), "bert")
    writer.add_name("tiny-encoder")
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(HIDDEN)
    writer.add_head_count(HEADS)
    writer.add_layer_norm_eps(1e-12)
    writer.add_causal_attention(False)
    writer.add_pooling_type(pooling)
    writer.add_file_type(gguf.LlamaFileType.ALL_F32)
    writer.add_tokenizer_model("bert")
    writer.add_token_list(tokens)
    writer.add_token_types(kinds)
    writer.add_token_type_count(2)
    for name, add in (
        ("[PAD]", writer.add_pad_token_id), ("[UNK]", writer.add_unk_token_id), ("[CLS]", writer.add_bos_token_id),
        ("[SEP]", writer.add_sep_token_id), ("[SEP]", writer.add_eos_token_id), ("[MASK]", writer.add_mask_token_id),
    ):  # fmt: skip
        add(tokens.index(name))
    _add_tensors(writer, np.random.default_rng(0), len(tokens))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _add_tensors(writer: gguf.GGUFWriter, noise: np.random.Generator, vocabulary: int) -> None:
    def add(name: str, *shape: int, scale: float = 0.2) -> None:
        writer.add_tensor(f"{name}.weight", (noise.standard_normal(shape) * scale).astype(np.float32))

    def add_bias(name: str, width: int) -> None:
        writer.add_tensor(f"{name}.bias", np.zeros(width, np.float32))

    def add_norm(name: str) -> None:
        writer.add_tensor(f"{name}.weight", np.ones(WIDTH, np.float32))
        add_bias(name, WIDTH)

    add("token_embd", vocabulary, WIDTH, scale=1.0)
    add("token_types", 2, WIDTH)
    add("position_embd", CONTEXT, WIDTH)
    add_norm("token_embd_norm")
    for layer in range(LAYERS):
        block = f"blk.{layer}"
        for name in ("attn_q", "attn_k", "attn_v", "attn_output"):
            add(f"{block}.{name}", WIDTH, WIDTH)
            add_bias(f"{block}.{name}", WIDTH)
        add(f"{block}.ffn_up", HIDDEN, WIDTH)
        add_bias(f"{block}.ffn_up", HIDDEN)
        add(f"{block}.ffn_down", WIDTH, HIDDEN)
        add_bias(f"{block}.ffn_down", WIDTH)
        add_norm(f"{block}.attn_output_norm")
        add_norm(f"{block}.layer_output_norm")
