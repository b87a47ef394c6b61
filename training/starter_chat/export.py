"""Writes weights and tokens into one GGUF file that llama.cpp serves: matrices in Q8_0, norms in f32."""

from pathlib import Path

import gguf
import numpy
from gguf import GGMLQuantizationType, quants

from training.starter_chat.shape import EPSILON, ROTARY_BASE, Shape
from training.starter_chat.tokens import SPECIAL, TokenTable

NAME = "minitoolai-starter"
#: Read by people who open the file.
DESCRIPTION = (
    "A small demo made by training/starter_chat from generated text: greetings, simple facts, small sums and "
    "repeating, in English and Polish. Attach a real model for real answers."
)
TEMPLATE = (Path(__file__).parent / "template.jinja").read_text(encoding="utf-8").strip()
#: The names of a layer's weights in the GGUF file, by their name in the model.
LAYER_NAMES = {
    "attention_norm": "attn_norm",
    "feed_norm": "ffn_norm",
    "query": "attn_q",
    "key": "attn_k",
    "value": "attn_v",
    "output": "attn_output",
    "gate": "ffn_gate",
    "up": "ffn_up",
    "down": "ffn_down",
}


def write_gguf(target: Path, shape: Shape, table: TokenTable, weights: dict[str, numpy.ndarray]) -> None:
    """Writes the file; an older one at the same place is replaced."""
    writer = gguf.GGUFWriter(target, "llama")
    _describe(writer, shape, table)
    _add(writer, "token_embd.weight", weights["embedding.weight"])
    _add(writer, "output_norm.weight", weights["norm.weight"])
    for layer in range(shape.layers):
        for ours, theirs in LAYER_NAMES.items():
            _add(writer, f"blk.{layer}.{theirs}.weight", weights[f"layers.{layer}.{ours}.weight"])
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _describe(writer: gguf.GGUFWriter, shape: Shape, table: TokenTable) -> None:
    """Adds the model's figures, its tokens and the chat template."""
    writer.add_name(NAME)
    writer.add_description(DESCRIPTION)
    writer.add_context_length(shape.context)
    writer.add_embedding_length(shape.width)
    writer.add_block_count(shape.layers)
    writer.add_feed_forward_length(shape.hidden)
    writer.add_head_count(shape.heads)
    writer.add_head_count_kv(shape.heads)
    writer.add_layer_norm_rms_eps(EPSILON)
    writer.add_rope_dimension_count(shape.head_width)
    writer.add_rope_freq_base(ROTARY_BASE)
    writer.add_vocab_size(table.size)
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_Q8_0)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list([*table.tokens, *SPECIAL])
    plain, control = gguf.TokenType.NORMAL, gguf.TokenType.CONTROL
    writer.add_token_types([plain] * len(table.tokens) + [control] * len(SPECIAL))
    writer.add_token_merges(list(table.merges))
    writer.add_bos_token_id(table.special("<|endoftext|>"))
    writer.add_pad_token_id(table.special("<|endoftext|>"))
    writer.add_eos_token_id(table.special("<|end|>"))
    writer.add_eot_token_id(table.special("<|end|>"))
    writer.add_add_bos_token(False)
    writer.add_chat_template(TEMPLATE)


def _add(writer: gguf.GGUFWriter, name: str, weight: numpy.ndarray) -> None:
    """Adds one weight: a vector as it is, a matrix in blocks of 32 numbers of eight bits."""
    values = numpy.ascontiguousarray(weight, dtype=numpy.float32)
    if values.ndim == 1:
        writer.add_tensor(name, values)
        return
    kind = GGMLQuantizationType.Q8_0
    writer.add_tensor(name, quants.quantize(values, kind), raw_dtype=kind)
