"""A tiny chat model with random weights: what it says is noise, but it loads in 60 ms and exercises everything else.

Byte-level BPE (GPT-2 style) over 256 bytes and a few merges, the ChatML template, the llama architecture.
"""

from __future__ import annotations

from pathlib import Path

import gguf
import numpy as np

TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
#: The same for a model that is told of tools.
TOOL_TEMPLATE = "{% for t in tools or [] %}<|im_start|>system\n{{ t | tojson }}<|im_end|>\n{% endfor %}" + TEMPLATE
MERGES = ("h e", "l l", "he ll", "hell o", "Ġ w", "o r", "Ġw or", "l d", "Ġwor ld")
CONTROL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
#: Width, layers, heads, key-value heads, hidden width of the network.
WIDTH, LAYERS, HEADS, KV_HEADS, HIDDEN = 64, 2, 4, 2, 128


def _byte_letters() -> list[str]:
    """The printable letter that stands for each byte in a GPT-2 vocabulary."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = iter(range(256, 512))
    return [chr(byte) if byte in plain else chr(next(others)) for byte in range(256)]


def make(
    path: Path,
    *,
    context_tokens: int = 8192,
    layers: int = LAYERS,
    seed: int = 0,
    template: str = TEMPLATE,
    pooling: gguf.PoolingType | None = None,
) -> Path:
    """Write the model to `path` and return it. More `layers` make it slower, for tests that need time; with a `pooling`
    it embeds."""
    tokens = [*_byte_letters(), *(merge.replace(" ", "") for merge in MERGES), *CONTROL]
    kinds = [gguf.TokenType.NORMAL] * (len(tokens) - len(CONTROL)) + [gguf.TokenType.CONTROL] * len(CONTROL)
    writer = gguf.GGUFWriter(str(path), "llama")
    _describe(writer, context_tokens, layers, len(tokens))
    if pooling is not None:
        writer.add_pooling_type(pooling)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(tokens)
    writer.add_token_types(kinds)
    writer.add_token_merges(list(MERGES))
    writer.add_bos_token_id(len(tokens) - 3)
    writer.add_pad_token_id(len(tokens) - 3)
    writer.add_eos_token_id(len(tokens) - 1)
    writer.add_eot_token_id(len(tokens) - 1)
    writer.add_add_bos_token(False)
    writer.add_chat_template(template)
    _add_tensors(writer, np.random.default_rng(seed), layers, len(tokens))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _describe(writer: gguf.GGUFWriter, context_tokens: int, layers: int, vocabulary: int) -> None:
    """The network's shape."""
    writer.add_name("tiny-random")
    writer.add_context_length(context_tokens)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(layers)
    writer.add_feed_forward_length(HIDDEN)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KV_HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_dimension_count(WIDTH // HEADS)
    writer.add_rope_freq_base(10000.0)
    writer.add_vocab_size(vocabulary)
    writer.add_file_type(gguf.LlamaFileType.ALL_F32)


def _add_tensors(writer: gguf.GGUFWriter, noise: np.random.Generator, layers: int, vocabulary: int) -> None:
    """Random weights; the output never prefers `<|endoftext|>` or `<|im_start|>`."""

    def weights(*shape: int, scale: float = 0.08) -> np.ndarray:
        return (noise.standard_normal(shape) * scale).astype(np.float32)

    output = weights(vocabulary, WIDTH, scale=0.3)
    output[[vocabulary - 3, vocabulary - 2]] = 0
    writer.add_tensor("token_embd.weight", weights(vocabulary, WIDTH, scale=1.0))
    writer.add_tensor("output_norm.weight", np.ones(WIDTH, np.float32))
    writer.add_tensor("output.weight", output)
    kv_width = KV_HEADS * (WIDTH // HEADS)
    for layer in range(layers):
        tensors = {
            "attn_norm": np.ones(WIDTH, np.float32),
            "ffn_norm": np.ones(WIDTH, np.float32),
            "attn_q": weights(WIDTH, WIDTH),
            "attn_k": weights(kv_width, WIDTH),
            "attn_v": weights(kv_width, WIDTH),
            "attn_output": weights(WIDTH, WIDTH),
            "ffn_gate": weights(HIDDEN, WIDTH),
            "ffn_up": weights(HIDDEN, WIDTH),
            "ffn_down": weights(WIDTH, HIDDEN),
        }
        for name, values in tensors.items():
            writer.add_tensor(f"blk.{layer}.{name}.weight", values)
