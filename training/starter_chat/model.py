"""A small llama-shaped decoder in plain torch whose weights map one to one to the GGUF 'llama' architecture."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from training.starter_chat.shape import EPSILON, ROTARY_BASE, Shape


class Norm(nn.Module):
    """Root-mean-square normalisation with a learned scale."""

    def __init__(self, width: int) -> None:
        """Starts with a scale of one."""
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))

    def forward(self, values: Tensor) -> Tensor:
        """Scales each vector to length one per element."""
        return functional.rms_norm(values, self.weight.shape, self.weight, EPSILON)


def rotated(values: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
    """Turns adjacent pairs by their angle, as llama.cpp does for 'llama', so that the export permutes nothing."""
    even, odd = values[..., 0::2], values[..., 1::2]
    return torch.stack((even * cosine - odd * sine, even * sine + odd * cosine), -1).flatten(-2)


class Layer(nn.Module):
    """One decoder layer: attention, then a gated feed-forward part."""

    def __init__(self, shape: Shape) -> None:
        """Makes the matrices; query, key and value share one, and so do gate and up."""
        super().__init__()
        self.shape = shape
        self.attention_norm = Norm(shape.width)
        self.feed_norm = Norm(shape.width)
        self.query = nn.Linear(shape.width, shape.width, bias=False)
        self.key = nn.Linear(shape.width, shape.width, bias=False)
        self.value = nn.Linear(shape.width, shape.width, bias=False)
        self.output = nn.Linear(shape.width, shape.width, bias=False)
        self.gate = nn.Linear(shape.width, shape.hidden, bias=False)
        self.up = nn.Linear(shape.width, shape.hidden, bias=False)
        self.down = nn.Linear(shape.hidden, shape.width, bias=False)

    def split(self, values: Tensor) -> Tensor:
        """Parts a batch of vectors into heads: (rows, heads, length, head width)."""
        rows, length, _ = values.shape
        return values.view(rows, length, self.shape.heads, self.shape.head_width).transpose(1, 2)

    def forward(self, values: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
        """Adds what attention and the feed-forward part make of the values."""
        rows, length, width = values.shape
        inner = self.attention_norm(values)
        query = rotated(self.split(self.query(inner)), cosine, sine)
        key = rotated(self.split(self.key(inner)), cosine, sine)
        value = self.split(self.value(inner))
        mixed = functional.scaled_dot_product_attention(query.to(value.dtype), key.to(value.dtype), value, is_causal=True)
        values = values + self.output(mixed.transpose(1, 2).reshape(rows, length, width))
        inner = self.feed_norm(values)
        added: Tensor = self.down(functional.silu(self.gate(inner)) * self.up(inner))
        return values + added


class Model(nn.Module):
    """The whole decoder; the embedding is also the output matrix."""

    cosine: Tensor
    sine: Tensor

    def __init__(self, shape: Shape) -> None:
        """Makes the layers and starts their weights from torch's current seed."""
        super().__init__()
        self.shape = shape
        self.embedding = nn.Embedding(shape.vocabulary, shape.width)
        self.layers = nn.ModuleList(Layer(shape) for _ in range(shape.layers))
        self.norm = Norm(shape.width)
        for name, weight in self.named_parameters():
            if weight.dim() == 2:
                nn.init.normal_(weight, std=_first_spread(name, shape.width))
        half = torch.arange(0, shape.head_width, 2)
        speeds = ROTARY_BASE ** (-half / shape.head_width)
        angles = torch.arange(shape.context)[:, None] * speeds
        self.register_buffer("cosine", angles.cos(), persistent=False)
        self.register_buffer("sine", angles.sin(), persistent=False)

    def forward(self, tokens: Tensor, places: Tensor) -> Tensor:
        """Gives the logits at the flat places only (those the loss is taken on)."""
        length = tokens.shape[1]
        values = self.embedding(tokens)
        for layer in self.layers:
            values = layer(values, self.cosine[:length], self.sine[:length])
        chosen = values.reshape(-1, self.shape.width)[places]
        return functional.linear(self.norm(chosen), self.embedding.weight)


def _first_spread(name: str, width: int) -> float:
    """Gives the standard deviation a matrix starts with: small where it writes into the residual stream."""
    if "embedding" in name:
        return 0.02
    writes = name.endswith(("output.weight", "down.weight"))
    return float(width**-0.5) * (0.3 if writes else 1.0)
