"""A tiny vision projector with random weights, in the true format, for the model of `tiny_gguf`: 16 tokens a picture.

A LLaVA-style encoder (CLIP with a class token, two layers) behind llama.cpp's `mlp` projector.
"""

from __future__ import annotations

from pathlib import Path

import gguf
import numpy as np

from tests.support.tiny_gguf import WIDTH as TEXT_WIDTH

#: Side of the picture that it sees and of one patch, in pixels: every picture is brought to the first.
SIDE, PATCH = 56, 14
#: Width, layers, heads, hidden width of the encoder.
WIDTH, LAYERS, HEADS, HIDDEN = 32, 2, 2, 64
TOKENS = (SIDE // PATCH) ** 2


def make(path: Path, *, seed: int = 1) -> Path:
    """Write the projector to `path` and return it."""
    writer = gguf.GGUFWriter(str(path), "clip")
    writer.add_type("mmproj")
    writer.add_name("tiny-vision")
    writer.add_clip_has_vision_encoder(True)
    writer.add_clip_projector_type("mlp")
    writer.add_vision_image_size(SIDE)
    writer.add_vision_patch_size(PATCH)
    writer.add_vision_embedding_length(WIDTH)
    writer.add_vision_feed_forward_length(HIDDEN)
    writer.add_vision_projection_dim(TEXT_WIDTH)
    writer.add_vision_block_count(LAYERS)
    writer.add_vision_head_count(HEADS)
    writer.add_vision_attention_layernorm_eps(1e-6)
    writer.add_vision_image_mean([0.5, 0.5, 0.5])
    writer.add_vision_image_std([0.5, 0.5, 0.5])
    writer.add_vision_use_gelu(True)
    writer.add_file_type(gguf.LlamaFileType.ALL_F32)
    for name, values in _tensors(np.random.default_rng(seed)).items():
        writer.add_tensor(name, values)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _tensors(noise: np.random.Generator) -> dict[str, np.ndarray]:
    """Random weights, and biases and norms that change nothing."""

    def weights(*shape: int) -> np.ndarray:
        return (noise.standard_normal(shape) * 0.1).astype(np.float32)

    def linear(name: str, width_out: int, width_in: int) -> dict[str, np.ndarray]:
        return {f"{name}.weight": weights(width_out, width_in), f"{name}.bias": np.zeros(width_out, np.float32)}

    def norm(name: str) -> dict[str, np.ndarray]:
        return {f"{name}.weight": np.ones(WIDTH, np.float32), f"{name}.bias": np.zeros(WIDTH, np.float32)}

    tensors = {
        "v.class_embd": weights(WIDTH),
        "v.patch_embd.weight": weights(WIDTH, 3, PATCH, PATCH),
        "v.position_embd.weight": weights(TOKENS + 1, WIDTH),
        **norm("v.pre_ln"),
        **norm("v.post_ln"),
        **linear("mm.0", TEXT_WIDTH, WIDTH),
        **linear("mm.2", TEXT_WIDTH, TEXT_WIDTH),
    }
    for layer in range(LAYERS):
        block = f"v.blk.{layer}"
        for name in ("attn_q", "attn_k", "attn_v", "attn_out"):
            tensors |= linear(f"{block}.{name}", WIDTH, WIDTH)
        tensors |= norm(f"{block}.ln1") | norm(f"{block}.ln2")
        tensors |= linear(f"{block}.ffn_up", HIDDEN, WIDTH) | linear(f"{block}.ffn_down", WIDTH, HIDDEN)
    return tensors
