"""The first stage: the text encoder learns the captions' meaning before it sees a picture.

From the end mark on, every token's vector must tell everything there is to tell. The UNet's attention then finds the
whole picture at almost any token it looks at. Without this stage objects stay mush.
"""

from pathlib import Path
from random import Random

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import CLIPTextModel, CLIPTokenizer

from training.starter_picture.captions import Captioned, Shares, captioned
from training.starter_picture.meaning import ANSWERS, answers
from training.starter_picture.model import TEXT_WIDTH, token_ids
from training.starter_picture.stages import TextStage
from training.starter_picture.tokens import LONGEST

#: The share of empty captions.
EMPTY_SHARE = 0.03
#: Most captions are short: longer rows come every fourth time only.
SHORT_ROW = 40


def train_text(stage: TextStage, tokenizer: CLIPTokenizer, text: CLIPTextModel, target: Path) -> float:
    """Trains the encoder, saves it, and gives the share of the last captions of which all was answered right."""
    random = Random(stage.seed)
    head = nn.Linear(TEXT_WIDTH, sum(ANSWERS))
    weights = [*text.parameters(), *head.parameters()]
    optimiser = torch.optim.AdamW(weights, lr=stage.rate, betas=(0.9, 0.98), weight_decay=0.01, fused=True)
    share = 0.0
    for step in range(stage.steps):
        for group in optimiser.param_groups:
            group["lr"] = stage.rate * min(1.0, (step + 1) / stage.warm_up) * (1.02 - step / stage.steps)
        batch = [_next(random) for _ in range(stage.batch)]
        wanted = torch.tensor([answers(made.picture if made else None) for made in batch])
        ids = token_ids(tokenizer, [made.caption if made else "" for made in batch], SHORT_ROW if step % 4 else LONGEST)
        loss, right = _asked(head(text(ids).last_hidden_state), ids == len(tokenizer) - 1, wanted)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(weights, 1.0)
        optimiser.step()
        share = right if step == 0 else 0.97 * share + 0.03 * right
        if step % 100 == 99:
            print(f"text {step + 1}: loss {loss.item():.4f}, all right of {share:.3f}", flush=True)
    torch.save(text.state_dict(), target)
    return share


def _next(random: Random) -> Captioned | None:
    return None if random.random() < EMPTY_SHARE else captioned(random, Shares())


def _asked(said: Tensor, ends: Tensor, wanted: Tensor) -> tuple[Tensor, float]:
    """Gives the loss over all tokens from the end mark on, and the share of rows right everywhere at the mark itself."""
    weight = ends.float() / ends.sum(1, keepdim=True)
    rows, marks = torch.arange(len(wanted)), ends.int().argmax(1)
    loss, right = torch.zeros(()), torch.ones(len(wanted), dtype=torch.bool)
    for question, logits in enumerate(torch.split(said, list(ANSWERS), -1)):
        target = wanted[:, question : question + 1].expand(-1, said.shape[1])
        each = functional.cross_entropy(logits.transpose(1, 2), target, reduction="none")
        loss = loss + (each * weight).sum(1).mean()
        right &= logits[rows, marks].argmax(-1) == wanted[:, question]
    return loss, float(right.float().mean())
