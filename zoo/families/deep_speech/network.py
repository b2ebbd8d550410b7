"""Speech recognition: raw audio -> characters, each with its time.

Hannun et al. 2014, "Deep Speech: Scaling up end-to-end speech recognition", section 2: layers 1-3 see each
frame of a spectrogram with its context and have no recurrence, layer 4 is bidirectional and recurrent
*without gates*, its two directions added, layer 5 is like the first three, and all activations are
``min(max(0, z), 20)``. Characters are trained with CTC.

The way of a recording: audio ``[samples]`` -> log-mel spectrogram, 10 ms a frame -> windows of context, 40 ms
apart -> class scores (``network``, which begins with the audio) -> characters with times (``serving``).

With ``lookahead`` layer 4 reads forwards only and sees a little of what comes, so that speech is heard
while one speaks: ``zoo.families.deep_speech.streaming`` says in which pieces.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
from keras import layers, ops

from zoo.contract.config import check_choices
from zoo.contract.recognizer import FRAMES, LABEL_LENGTHS, SURE, Recognizer
from zoo.contract.serving import Serving, TensorSpec
from zoo.decoding.ctc import greedy_decode
from zoo.families.deep_speech.streaming import Stream, inputs_of, late, samples_per_frame
from zoo.layers import KINDS, Bidirectional, ClippedRelu, MaskByLength, Recurrent, SimpleRNN, make_recurrent
from zoo.layers.spectrogram import LogMelSpectrogram, SpecAugment
from zoo.layers.streaming import Carry, RowConvolution, RunningNormalization

if TYPE_CHECKING:
    from zoo.data.speech import Speech


CARRIED = ("simple", "gru", "lstm")  # cells that need nothing of the past but their last states
# Mean and variance of a mel band's logarithm that are expected before anything is heard: of speech_en.
BANDS = -6.5, 16.0


@dataclasses.dataclass(frozen=True)
class DeepSpeechConfig:
    """What a speech recogniser is made of.

    Attributes:
        sampling_rate: samples per second of the audio.
        frame_length: length of the spectrogram's frames, in samples.
        hop: samples from the start of one frame to that of the next.
        fft_length: samples of the spectrogram's Fourier transform.
        mels: bands of the spectrogram.
        fmax: where its last band ends, Hz.
        normalise: what is given mean 0 and variance 1: the ``bands``, each by itself, or their ``whole``. See
            ``LogMelSpectrogram``. With ``lookahead`` it always is the bands, by what was heard so far.
        lookahead: 0: layer 4 reads both ways, and needs the whole recording. More: it reads forwards only,
            and layer 5 sees its outputs of so many frames to come, weighted ("row convolution", Amodei et
            al. 2016, section 3.7), so that speech can be heard while it comes in.
        context: frames on each side that layer 1 sees besides the one in the middle.
        stride: frames from one window of layer 1 to the next.
        subsampling: outputs of layer 2 that layer 3 takes together, of which it makes one.
        units: units of layers 1, 2 and 3.
        recurrent_cell: kind of layer 4, whose two directions are added; the paper's is ``simple``.
        recurrent_units: units of layer 4, per direction.
        last_units: units of layer 5.
        clip: greatest value of an activation.
        batch_norm: normalise layers 1, 2, 3 and 5 over the batch before their activation (Ioffe & Szegedy
            2015; Amodei et al. 2016, "Deep Speech 2", section 3.2), for a higher learning rate.
        dropout: share of activations dropped after layers 1, 2, 3 and 5; as in the paper, not within layer 4.
        band_masks: SpecAugment in training: how many masks over bands.
        band_mask: greatest width of such a mask, in bands.
        time_masks: SpecAugment in training: how many masks over time.
        time_mask: greatest width of such a mask, as a share of the time.
        alpha: weight of the language model in the beam search with one. See ``zoo.decoding.ctc_words``.
        beta: bonus of each word in that search.
        unknown_penalty: what a word costs in that search that the language model does not know.
        spelling_weight: weight of the spelling of such a word.
        beam_width: width of that search: how many hypotheses it keeps.
        beam_threshold: hypotheses with a score so far below the best are dropped.
        token_threshold: characters less probable than this in a frame do not extend a hypothesis there.
    """

    sampling_rate: int = 16000
    frame_length: int = 400
    hop: int = 160
    fft_length: int = 512
    mels: int = 40
    fmax: float = 8000.0
    normalise: str = "bands"
    lookahead: int = 0
    context: int = 9
    stride: int = 4
    subsampling: int = 1
    units: tuple = (512, 512, 512)
    recurrent_cell: str = "simple"
    recurrent_units: int = 512
    last_units: int = 512
    clip: float = 20.0
    batch_norm: bool = False
    dropout: float = 0.1
    band_masks: int = 1
    band_mask: int = 5
    time_masks: int = 1
    time_mask: float = 0.08
    alpha: float = 1.0
    beta: float = 1.0
    unknown_penalty: float = 0.0
    spelling_weight: float = 0.5
    beam_width: int = 64
    beam_threshold: float = 14.0
    token_threshold: float = 1e-3

    def __post_init__(self):
        check_choices(self, recurrent_cell=KINDS)
        if len(self.units) != 3:
            raise ValueError(f"units are those of layers 1, 2 and 3, not {self.units!r}")
        if self.lookahead and self.subsampling > 1:
            raise ValueError("lookahead is for a subsampling of 1; take a longer stride instead")
        if self.lookahead and 2 * self.context < self.stride:
            raise ValueError("with lookahead the windows of layer 1 have to overlap; take a longer context")
        if self.lookahead < 0:
            raise ValueError(f"lookahead is 0 or more frames, not {self.lookahead}")
        if self.lookahead and self.recurrent_cell not in CARRIED:
            raise ValueError(f"with lookahead recurrent_cell is one of {', '.join(CARRIED)}")

    @property
    def samples_per_frame(self) -> int:
        """Samples from one output frame of the network to the next."""
        return samples_per_frame(dataclasses.asdict(self))


class DeepSpeech(Recognizer):
    """A speech recogniser. See ``Task`` for what every task offers.

    Attributes:
        splicer: a ``zoo.families.deep_speech.splice.Splicer`` of the utterances that are learned, or None.
    """

    name = "deep_speech"
    Config = DeepSpeechConfig
    splicer = None

    @functools.cached_property
    def streamed(self) -> Stream | None:
        """How a model with ``lookahead`` is fed; None for others."""
        return Stream(dataclasses.asdict(self.config)) if self.config.lookahead else None

    @property
    def rounded(self) -> dict[str, int]:
        return {"samples": 2 * self.config.sampling_rate}

    # === Network ===

    def build_network(self) -> keras.Model:
        config = self.config
        audio = keras.Input((None,), name="audio")
        audio_lengths = keras.Input((), dtype="int32", name="audio_lengths")
        self.spectrogram = LogMelSpectrogram(
            config.sampling_rate, config.frame_length, config.hop, config.fft_length, config.mels,
            fmax=config.fmax, normalise=None if config.lookahead else config.normalise, name="spectrogram",
        )  # fmt: skip
        if config.lookahead:
            return self._causal_network(audio, audio_lengths)
        x, frames = self.spectrogram(audio, audio_lengths)
        x = self._augmented(x, frames)
        # A dense layer over a window that moves on is a convolution; beyond the edges there is silence.
        x = layers.ZeroPadding1D(config.context, name="edges")(x)
        x = self._dense(1, x, 2 * config.context + 1, config.stride)
        x = self._dense(2, x)
        if config.subsampling > 1:
            x = MaskByLength(name="mask")(x, (frames + config.stride - 1) // config.stride)
            x = layers.ZeroPadding1D((0, config.subsampling - 1), name="rest")(x)
        x = self._dense(3, x, config.subsampling, config.subsampling)
        lengths = self._logit_frames(frames)
        x = Bidirectional(self._recurrent(), merge_mode="sum", name="layer_4")(x, lengths)
        logits = self._logits(self._dense(5, x))
        return keras.Model({"audio": audio, "audio_lengths": audio_lengths}, logits, name=self.name)

    def _causal_network(self, audio, audio_lengths):
        """The network of a model with ``lookahead``; ``_pieces`` also gives the states for the next piece."""
        config = self.config
        states = keras.Input((self.streamed.size,), name="states")
        kept, new = self._kept(states), {}

        def carry(name, x, lengths):
            joined, new[name] = Carry(name=f"carry_{name}")(x, lengths, kept[name])
            return joined

        sound = carry("audio", ops.expand_dims(audio, 2), audio_lengths)[:, :, 0]
        x, frames = self.spectrogram(sound, audio_lengths + config.frame_length - config.hop)
        x, new["bands"] = RunningNormalization(*BANDS, name="normalization")(x, frames, kept["bands"])
        x = self._augmented(x, frames)
        x = self._dense(1, carry("windows", x, frames), 2 * config.context + 1, config.stride)
        x = self._dense(3, self._dense(2, x))
        lengths = frames // config.stride
        before = [kept["layer_4"][:, i] for i in range(kept["layer_4"].shape[1])]
        x, after = Recurrent(self._recurrent(), name="layer_4")(x, lengths, before)
        new["layer_4"] = ops.stack(after, axis=1)
        x = RowConvolution(config.lookahead, name="look_ahead")(carry("ahead", x, lengths))
        logits = self._logits(self._dense(5, x))
        inputs = {"audio": audio, "audio_lengths": audio_lengths, "states": states}
        self._pieces = keras.Model(inputs, {"logits": logits, **new})
        return keras.Model(inputs, logits, name=self.name)

    def _augmented(self, x, frames):
        config = self.config
        settings = config.band_mask, config.band_masks, config.time_mask, config.time_masks
        return SpecAugment(*settings, name="spec_augment")(x, frames)

    def _kept(self, states):
        """``[batch, size]`` -> ``{name: [batch, steps, features]}``."""
        sizes = [math.prod(shape) for shape in self.streamed.shapes.values()]
        parts = ops.split(states, np.cumsum(sizes)[:-1].tolist(), axis=1)
        named = zip(self.streamed.shapes.items(), parts, strict=True)
        return {name: ops.reshape(part, (-1, *shape)) for (name, shape), part in named}

    def _logits(self, x):
        return layers.Dense(len(self.vocabulary), dtype="float32", name="logits")(x)

    def _dense(self, number, x, window=1, stride=1):
        """Layer ``number`` of the paper, equations 1 and 3, over ``window`` frames, and its dropout."""
        units = (*self.config.units, None, self.config.last_units)[number - 1]
        settings = {"kernel_initializer": "he_normal", "name": f"layer_{number}"}
        activation = ClippedRelu(self.config.clip)
        settings |= {"use_bias": False} if self.config.batch_norm else {"activation": activation}
        if window == stride == 1:
            x = layers.Dense(units, **settings)(x)
        else:
            x = layers.Conv1D(units, window, stride, **settings)(x)
        if self.config.batch_norm:
            x = layers.BatchNormalization(momentum=0.98, name=f"norm_{number}")(x)
            x = layers.Activation(activation, name=f"activation_{number}")(x)
        return layers.Dropout(self.config.dropout, name=f"dropout_{number}")(x)

    def _recurrent(self):
        """One direction of layer 4, the paper's equations 2."""
        units = self.config.recurrent_units
        if self.config.recurrent_cell != "simple":
            return make_recurrent(self.config.recurrent_cell, units)
        # Rectified units keep their memory if a step begins as a rotation that shrinks little; with a gain of
        # 0.5 or 1.2 they learned more slowly.
        start = keras.initializers.OrthogonalInitializer(0.95)
        return SimpleRNN(units, activation=ClippedRelu(self.config.clip), recurrent_initializer=start)

    def frames(self, samples: Any) -> Any:
        """Frames that the network makes of so many samples: an int, an array or a tensor, as given."""
        if self.streamed:
            return self.streamed.frames(samples)
        return self._logit_frames(self.spectrogram.frames(samples))

    def _logit_frames(self, frames):
        # Rounded up, without the quotient of a negative number, which ONNX would not round down.
        windows = (frames + self.config.stride - 1) // self.config.stride
        return (windows + self.config.subsampling - 1) // self.config.subsampling

    def logit_lengths(self, inputs: dict[str, Any]) -> Any:
        lengths = inputs["audio_lengths"]
        return lengths // self.streamed.frame if self.streamed else self.frames(lengths)

    # === Decoding ===

    @property
    def feature_call(self) -> tuple[Any, str]:
        return self.network.get_layer("look_ahead" if self.streamed else "layer_4"), "call"

    @property
    def serving(self) -> Serving:
        inputs = (
            TensorSpec(
                "audio",
                "float32",
                ("batch", "samples"),
                "mono sound, -1 to 1, at the sampling rate of the configuration; padded with zeros behind",
            ),
            TensorSpec("audio_lengths", "int32", ("batch",), self._of_lengths),
        )
        outputs = (
            TensorSpec(
                "labels",
                "int32",
                ("batch", "time"),
                "row i is character i - 1 of the vocabulary; 0, the CTC blank, pads",
            ),
            LABEL_LENGTHS,
            SURE,
            TensorSpec("starts", "float32", ("batch", "time"), "seconds at which each label starts"),
            TensorSpec("ends", "float32", ("batch", "time"), "seconds at which each label ends"),
            TensorSpec(
                "probabilities",
                "float32",
                ("batch", "time"),
                "highest probability of each label in its frames",
            ),
            *FRAMES,
        )
        if self.streamed:
            states = "float32", ("batch", self.streamed.size)
            what = "what the piece before gave as new_states; zeros before the first"
            inputs += (TensorSpec("states", *states, what),)
            outputs += (TensorSpec("new_states", *states, "states for the next piece"),)
        return Serving(inputs, outputs, self._serve, self._example)

    @property
    def _of_lengths(self):
        if not self.streamed:
            return "samples of each recording, without padding, 1 or more"
        frame, flush = self.streamed.frame, self.streamed.flush
        return (
            f"samples of each piece, {frame} or a multiple of that; {flush * frame} zeros behind the end of "
            "a recording bring out the last of it"
        )

    def hear(self, recordings: Sequence[np.ndarray]) -> list[np.ndarray]:
        """What is heard in whole recordings: the log-probabilities of the frames of each, from its beginning.

        Args:
            recordings: list of float32 ``[samples]`` at the sampling rate of the configuration.

        Returns:
            A list of float32 ``[frames, symbols]``; the output's delay, if there is one, is gone.
        """
        config = dataclasses.asdict(self.config)
        first = late(config)
        served = self.compiled_serve(inputs_of(recordings, config))
        rows = zip(np.asarray(served["log_probs"]), np.asarray(served["lengths"]), strict=True)
        return [log_probs[first:frames] for log_probs, frames in rows]

    def _serve(self, inputs):
        if not self.streamed:
            return self._decode(self.network(inputs, training=False), inputs)
        found = self._pieces(inputs, training=False)
        last = self._kept(inputs["states"])["last"][:, 0]  # the class of the last frame, the frames so far
        read = self._decode(found["logits"], inputs, ops.cast(last[:, 0], "int32"), last[:, 1:])
        classes = ops.concatenate([last[:, :1], ops.cast(read.pop("classes"), "float32")], axis=1)
        label = ops.take_along_axis(classes, read["lengths"][:, None], axis=1)
        so_far = last[:, 1:] + ops.cast(read["lengths"], "float32")[:, None]
        found["last"] = ops.concatenate([label, so_far], axis=1)
        parts = [ops.reshape(found[name], (-1, math.prod(s))) for name, s in self.streamed.shapes.items()]
        return read | {"new_states": ops.concatenate(parts, axis=1)}

    def _decode(self, logits, inputs, previous=None, begin=0.0):
        """``previous`` is the class of the frame before the first, ``begin`` ``[batch, 1]`` its number."""
        log_probs = ops.log_softmax(ops.cast(logits, "float32"))
        lengths = self.logit_lengths(inputs)
        read = greedy_decode(log_probs, lengths, previous)
        seconds = self.config.samples_per_frame / self.config.sampling_rate
        used = ops.cast(read["labels"] > 0, "float32")
        first, last = (ops.cast(read[name], "float32") for name in ("first_frame", "last_frame"))
        starts, ends = first * seconds, (last + 1) * seconds
        if self.streamed:
            begin = (begin - self.streamed.delay) * seconds
            starts, ends = ops.maximum(starts + begin, 0), ops.maximum(ends + begin, 0)
        else:
            whole = ops.cast(inputs["audio_lengths"], "float32")[:, None] / self.config.sampling_rate
            ends = ops.minimum(ends, whole)
        found = {"classes": read["classes"]} if self.streamed else {}
        return found | {
            "labels": read["labels"],
            "label_lengths": read["label_lengths"],
            "confidence": self.calibrated(read["confidence"]),
            "starts": starts * used,
            "ends": ends * used,
            "probabilities": read["probabilities"],
            "log_probs": log_probs,
            "lengths": lengths,
        }

    def _example(self, batch, seed):
        random = np.random.default_rng(seed)
        rate = self.config.sampling_rate
        lengths = random.integers(rate // 10, 2 * rate, batch).astype("int32")
        if self.streamed:
            lengths -= lengths % self.streamed.frame
        audio = np.zeros((batch, lengths.max() + random.integers(0, 999)), "float32")
        for row, length in zip(audio, lengths, strict=True):  # syllables of changing pitch in some noise
            time = np.arange(length) / rate
            pitch = np.interp(time, np.arange(0, 3, 0.2), random.uniform(90, 400, 15))
            tone = np.sign(np.sin(2 * np.pi * np.cumsum(pitch) / rate)) * (np.sin(9 * time) > 0)
            row[:length] = 0.1 * tone + 0.01 * random.standard_normal(length)
        if not self.streamed:
            return {"audio": audio, "audio_lengths": lengths}
        states = np.zeros((batch, self.streamed.size), "float32")
        return {"audio": audio, "audio_lengths": lengths, "states": states}

    # === Training ===

    def encode_sample(self, sample: dict[str, Any]) -> dict[str, Any]:
        """A corpus sample as the pipeline keeps it: ``audio`` int16, and ``labels``."""
        return {"audio": sample["audio"], "labels": self.encode_labels(sample["text"])}

    def augment_sample(self, sample: dict[str, Any], seed: Any) -> dict[str, Any]:
        """A sample as another speaker in another room might say it, or phrases of several samples."""
        from zoo.audio.augment import augment_speech

        if self.splicer:
            sample = self.splicer.sometimes(sample, seed)
        return sample | {"audio": augment_speech(sample["audio"], seed, self.config.sampling_rate)}

    def sample_length(self, sample: dict[str, Any]) -> Any:
        """Samples: what buckets go by."""
        import tensorflow as tf

        return tf.size(sample["audio"])

    def corpus_lengths(self, corpus: Speech) -> np.ndarray:
        return corpus.lengths

    def collate(self, batch: dict[str, Any], round_to: int) -> tuple[dict[str, Any], dict[str, Any]]:
        """A padded batch of samples -> ``(inputs, labels)`` of ``training_model``."""
        import tensorflow as tf

        audio = tf.cast(batch["audio"], tf.float32) / 32768.0
        # A multiple of four outputs. A CPU with AMX sums wrongly over batch and time in bfloat16 unless
        # they are a multiple of 32 (github.com/uxlfoundation/oneDNN/issues/5717), as they are from 8 samples.
        unit = 4 * self.config.stride * self.config.subsampling
        hop, samples, rest = self.config.hop, tf.shape(audio)[1], 0
        if self.streamed:
            frames = self.frames(samples) * self.config.stride
        else:
            rest = self.config.frame_length - hop
            frames = tf.maximum(self.spectrogram.frames(samples + hop - 1), 1)  # begun ones, too
        frames += -frames % (round_to + -round_to % unit)
        inputs = {
            "audio": tf.pad(audio, ((0, 0), (0, frames * hop + rest - samples))),
            "audio_lengths": batch["audio_lengths"],
        }
        if self.streamed:
            inputs["audio_lengths"] = self.frames(batch["audio_lengths"]) * self.streamed.frame
            inputs["states"] = tf.zeros((tf.shape(audio)[0], self.streamed.size))
        return inputs, {"labels": batch["labels"], "label_lengths": batch["label_lengths"]}


TASK = DeepSpeech
