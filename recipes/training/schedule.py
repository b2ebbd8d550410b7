"""How a run is trained, as its options say."""

from __future__ import annotations

import dataclasses
from typing import Any

from zoo.contract.config import check_choices

PRECISIONS = ("auto", "float32", "mixed_bfloat16", "mixed_float16")
ASIDE = ("threads", "cache", "influence")  # fields that change nothing of what is learned


@dataclasses.dataclass(frozen=True)
class Schedule:
    """How a run is trained.

    Attributes:
        epochs: passes over the training data; the learning rate falls to zero at the end of the last.
        batch_size: samples a step.
        learning_rate: learning rate of Adam at its height.
        warmup: share of all steps over which the learning rate rises from zero; then it falls as a cosine.
        clip_norm: norm of the gradient, over all weights, to which larger ones are scaled down.
        ema: momentum of a running mean of the weights, which is what validates and is kept (Polyak & Juditsky
            1992), such as 0.999, a mean of the last thousand steps; 0: the weights themselves.
        patience: epochs without a lower validation error after which the run stops.
        seed: seed of initial weights, data order, augmentation and dropout.
        augment: vary the training samples.
        precision: numbers to compute with; ``auto`` is float32 on a CPU, on a GPU what that is made for.
            A CPU that multiplies matrices of bfloat16 (``amx_bf16`` is among its flags in /proc/cpuinfo)
            gains by it, too: on one core speech trained 1.4 times, the captioner's first stage 1.3 times as
            fast. Speech is padded for its sake; elsewhere a loss may become NaN, as such a CPU sums wrongly
            what is no multiple of 32 (github.com/uxlfoundation/oneDNN/issues/5717).
        threads: CPU threads inside one operation, 0 as many as the backend likes. With 1 the two directions
            of a bidirectional layer run side by side, which on few cores is faster by a quarter.
        cache: where decoded samples are kept between epochs: ``memory``, ``none``, which reads them anew in
            each epoch and needs next to no memory, or the name of a file, which stays when the run has ended
            (copies of the corpora themselves lie elsewhere: ``zoo cache show``).
        influence: log to TensorBoard how far back the last output looks. See ``zoo.diagnostics.influence``.
    """

    epochs: int = 30
    batch_size: int = 16
    learning_rate: float = 2e-3
    warmup: float = 0.03
    clip_norm: float = 1.0
    ema: float = 0.0
    patience: int = 10
    seed: int = 0
    augment: bool = True
    precision: str = "auto"
    threads: int = 1
    cache: str = "memory"
    influence: bool = False

    def __post_init__(self):
        check_choices(self, precision=PRECISIONS)
        for name, least in {"epochs": 0, "batch_size": 1, "patience": 1, "seed": 0, "threads": 0}.items():
            if getattr(self, name) < least:
                raise ValueError(f"{name} is {least} or more, not {getattr(self, name)}")
        for name in ("learning_rate", "clip_norm"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} is more than 0, not {getattr(self, name)}")
        if not 0 <= self.ema < 1:
            raise ValueError(f"ema is a momentum from 0 to below 1, not {self.ema}")
        if not 0 <= self.warmup <= 1:
            raise ValueError(f"warmup is a share from 0 to 1, not {self.warmup}")

    def defining(self) -> dict[str, Any]:
        """``{field: value}`` of those on which the result depends."""
        return {name: value for name, value in dataclasses.asdict(self).items() if name not in ASIDE}
