"""A voice: text -> sound.

The way of a sentence: symbols ``[symbols]`` -> what each is in its sentence, read in both directions -> how
many frames each lasts -> that, stretched to steps of some frames -> pitch, voicing and loudness of each step
-> log-mel frames (``network``, which is told the true durations, pitch and loudness) -> sound (``serving``).

Durations that are predicted rather than found by attention, and frames all at once rather than each from the
one before, cannot skip or repeat a word (Ren et al. 2019, "FastSpeech"; Yu et al. 2019, "DurIAN"; pitch and
energy are those of Ren et al. 2020, "FastSpeech 2", section 2.3). All layers are LSTMs that read both ways.
From the pitch follows where the harmonics are in each band: the decoder is told by a comb, so that it need
not learn to count periods.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
from keras import layers, ops

from zoo.audio.mel import LogMel
from zoo.audio.pitch import contour, pitch
from zoo.contract.compiled import compiled
from zoo.contract.config import check_choices
from zoo.contract.serving import Serving, TensorSpec
from zoo.contract.task import Task
from zoo.layers import KINDS, Bidirectional, make_recurrent
from zoo.layers.training import TrainingModel
from zoo.layers.vocoder import GriffinLim

if TYPE_CHECKING:
    from zoo.data.speech import Speech

PROSODY = 3  # numbers of a step: logarithm of the pitch, whether it has one, loudness
_FIVE = keras.initializers.Constant(np.log(6.0))  # frames, which a symbol lasts before anything is learned
_STEPS = 64  # the multiple of steps for which JAX compiles


@dataclasses.dataclass(frozen=True)
class SpeechSynthesisConfig:
    """What a voice is made of.

    Attributes:
        language: code of the language that is spoken.
        recogniser: the model that told how long each symbol lasts, and that hears the voice when it is
            evaluated.
        sampling_rate: samples per second of the sound.
        frame_length: length of the spectrogram's frames, in samples, a multiple of the hop.
        hop: samples from the start of one frame to that of the next.
        mels: bands of the spectrogram.
        frames_per_step: frames that the decoder makes in a step.
        embedding: size of the vectors that stand for symbols.
        cell: kind of the recurrent layers.
        encoder_units: units of each direction of the two layers that read symbols.
        duration_units: units of each direction of the layer that predicts durations.
        prosody_units: units of each direction of the layer that predicts pitch and loudness.
        decoder_units: units of each direction of the two layers that make frames.
        dropout: share of values dropped before recurrent layers.
        iterations: iterations of the vocoder; more are a little clearer, and slower.
    """

    language: str = "de"
    recogniser: str = "deep_speech_de"
    sampling_rate: int = 16000
    frame_length: int = 800
    hop: int = 200
    mels: int = 80
    frames_per_step: int = 2
    embedding: int = 128
    cell: str = "lstm"
    encoder_units: int = 96
    duration_units: int = 48
    prosody_units: int = 64
    decoder_units: int = 144
    dropout: float = 0.1
    iterations: int = 16

    def __post_init__(self):
        check_choices(self, cell=KINDS)
        if self.hop < 1 or self.frame_length % self.hop:
            raise ValueError(f"frame_length {self.frame_length} is no multiple of hop {self.hop}")
        if self.frames_per_step < 1:
            raise ValueError(f"frames_per_step is 1 or more, not {self.frames_per_step}")


class SpeechSynthesis(Task):
    """A voice. See ``Task`` for what every task offers.

    Attributes:
        alignments: ``{(transcript, samples): (symbols, first frame, durations)}`` of the utterances that are
            learned; see ``zoo.families.speech_synthesis.durations``.
    """

    name = "speech_synthesis"
    Config = SpeechSynthesisConfig
    alignments = {}

    # === Network ===

    def build_network(self) -> keras.Model:
        config = self.config
        self.log_mel = log_mel_of(config)
        of_sound = config.sampling_rate, config.frame_length, config.hop, config.mels
        self.vocoder = GriffinLim(*of_sound, config.iterations, name="vocoder")

        def both(units, name):
            return Bidirectional(make_recurrent(config.cell, units), name=name)

        self._embed = layers.Embedding(len(self.vocabulary), config.embedding, name="embedding")
        self._encoder = [both(config.encoder_units, f"encoder_{i}") for i in (1, 2)]
        self._duration = [
            both(config.duration_units, "duration_1"),
            layers.Dense(1, bias_initializer=_FIVE, name="duration_out"),
        ]
        self._stretch = Stretch(config.frames_per_step, name="stretch")
        self._prosody = [both(config.prosody_units, "prosody_1"), layers.Dense(PROSODY, name="prosody_out")]
        self._scale = Scale(config.mels, name="scale")
        self._comb = Comb(self.log_mel.peaks, name="comb")
        self._decoder = [both(config.decoder_units, f"decoder_{i}") for i in (1, 2)]
        size = 2 * config.decoder_units
        self._hidden = layers.Dense(size, activation="relu", name="hidden")
        self._frames = layers.Dense(config.mels * config.frames_per_step, dtype="float32", name="frames")
        self._apart = layers.Reshape((-1, config.mels), dtype="float32", name="apart")
        self._drop = layers.Dropout(config.dropout, name="dropout")

        symbols = keras.Input((None,), dtype="int32", name="symbols")
        lengths = keras.Input((), dtype="int32", name="symbol_lengths")
        durations = keras.Input((None,), dtype="int32", name="durations")
        prosody = keras.Input((None, PROSODY), name="prosody")
        step_lengths = keras.Input((), dtype="int32", name="step_lengths")
        encoded = self._encode(symbols, lengths)
        steps = self._stretch(encoded, durations, like=prosody)
        told = self._scale(prosody, kind="prosody")
        outputs = {
            "durations": self._log_durations(encoded, lengths),
            "prosody": self._predict_prosody(steps, step_lengths),
            "mel": self._decode(steps, told, prosody, step_lengths),
        }
        inputs = {
            "symbols": symbols, "symbol_lengths": lengths, "durations": durations, "prosody": prosody,
            "step_lengths": step_lengths,
        }  # fmt: skip
        return keras.Model(inputs, outputs, name=self.name)

    def _encode(self, symbols, lengths):
        x = self._embed(symbols)
        for layer in self._encoder:
            x = layer(self._drop(x), lengths)
        return x

    def _log_durations(self, encoded, lengths):
        """The natural logarithm of each symbol's frames and one more."""
        layer, out = self._duration
        return ops.cast(out(layer(self._drop(encoded), lengths))[..., 0], "float32")

    def _predict_prosody(self, steps, lengths):
        layer, out = self._prosody
        return ops.cast(out(layer(self._drop(steps), lengths)), "float32")

    def _decode(self, steps, scaled, prosody, lengths):
        """Normalised frames ``[batch, steps * frames_per_step, mels]``."""
        x = self._hidden(ops.concatenate([steps, scaled, self._comb(prosody)], -1))
        for layer in self._decoder:
            x = layer(self._drop(x), lengths)
        return self._apart(self._frames(x))

    # === Serving ===

    @property
    def serving(self) -> Serving:
        inputs = (
            TensorSpec(
                "symbols",
                "int32",
                ("batch", "symbols"),
                "a sentence as rows of the vocabulary: ^, then words in lower case, behind each one sign, a "
                "blank or one of .!?,;: (behind the last . or ! or ? or ,); 0 pads",
            ),
            TensorSpec(
                "symbol_lengths", "int32", ("batch",), "symbols of each sentence, without padding, 1 or more"
            ),
            TensorSpec("speed", "float32", ("batch",), "1 as learned, 2 twice as fast; 0.25 to 4"),
        )
        hop = f"of {self.config.hop} samples each"
        outputs = (
            TensorSpec(
                "audio",
                "float32",
                ("batch", "samples"),
                f"mono sound, -1 to 1, {self.config.sampling_rate} samples a second",
            ),
            TensorSpec("audio_lengths", "int32", ("batch",), "how many samples count"),
            TensorSpec("durations", "int32", ("batch", "symbols"), f"frames of each symbol, {hop}"),
            TensorSpec(
                "log_mel",
                "float32",
                ("batch", "frames", self.config.mels),
                "natural logarithms of the mel spectrogram",
            ),
            TensorSpec("pitch", "float32", ("batch", "frames"), "Hz in each frame"),
        )
        # Phases that are found in turns carry rounding on; what they are found for is compared as strictly.
        loose = {"audio": 5e-3}
        return Serving(
            inputs, outputs, self._serve, self._example, of_task=False, tolerances=loose, decides_lengths=True
        )

    def _serve(self, inputs):
        """Sound in -1..1, its samples, the frames of each symbol, log-mel frames, their pitch in Hz."""
        encoded = self._encode(inputs["symbols"], inputs["symbol_lengths"])
        durations = self._durations(encoded, inputs)
        return self._speak(encoded, durations, self._stretch(encoded, durations))

    def _durations(self, encoded, inputs):
        """Whole frames of each symbol, int32 ``[batch, symbols]``, 0 beyond a sentence."""
        lengths = inputs["symbol_lengths"]
        frames = ops.exp(self._log_durations(encoded, lengths)) - 1.0
        frames = ops.clip(frames / ops.maximum(inputs["speed"], 0.01)[:, None], 0.0, 400.0)
        within = ops.arange(ops.shape(frames)[1], dtype="int32")[None] < lengths[:, None]
        # Each symbol ends at a rounded place, so that what rounding takes from one it gives to the next.
        ends = ops.cast(ops.floor(ops.cumsum(ops.where(within, frames, 0.0), 1) + 0.5), "int32")
        before = ops.concatenate([ops.zeros_like(ends[:, :1]), ends[:, :-1]], 1)
        return ends - before

    def _speak(self, encoded, durations, steps):
        config = self.config
        frames = ops.sum(durations, 1)
        count = ops.shape(steps)[1] * config.frames_per_step
        lengths = (frames + config.frames_per_step - 1) // config.frames_per_step
        found = self._predict_prosody(steps, lengths)
        scaled = ops.concatenate([found[..., :1], ops.sigmoid(found[..., 1:2]), found[..., 2:]], -1)
        prosody = self._scale(scaled, kind="prosody", inverse=True)
        log_mel = self._scale(self._decode(steps, scaled, prosody, lengths), kind="mel", inverse=True)
        valid = ops.arange(count, dtype="int32")[None] < frames[:, None]
        log_mel = ops.where(valid[..., None], ops.clip(log_mel, np.log(self.log_mel.floor), 12.0), 0.0)
        voiced = ops.where(prosody[..., 1] > 0.5, ops.exp(ops.clip(prosody[..., 0], 3.0, 7.0)), 0.0)
        hertz = ops.where(valid, ops.repeat(voiced, config.frames_per_step, axis=1), 0.0)
        audio = self.vocoder(log_mel, hertz, frames)
        lengths = ops.where(frames > 0, self.vocoder.samples(frames), 0)
        within = ops.arange(ops.shape(audio)[1], dtype="int32")[None] < lengths[:, None]
        return {
            "audio": ops.where(within, ops.clip(audio, -1.0, 1.0), 0.0),
            "audio_lengths": lengths,
            "durations": durations,
            "log_mel": log_mel,
            "pitch": hertz,
        }

    @functools.cached_property
    def compiled_serve(self) -> Callable[[dict[str, np.ndarray]], dict[str, np.ndarray]]:
        """``serving.function`` on a dict of NumPy arrays, compiled as the backend can."""
        if keras.backend.backend() == "tensorflow":
            return super().compiled_serve
        # JAX has to know how many steps there are: durations first, then sound for a number rounded up.
        serving, rounded = self.serving, {"batch": 8, "symbols": 64}

        def first(inputs):
            encoded = self._encode(inputs["symbols"], inputs["symbol_lengths"])
            return {"durations": self._durations(encoded, inputs)}

        def second(inputs):
            encoded = self._encode(inputs["symbols"], inputs["symbol_lengths"])
            durations = self._durations(encoded, inputs)
            return self._speak(encoded, durations, self._stretch(encoded, durations, count=inputs["steps"]))

        steps = TensorSpec("steps", "int32", ())
        count = compiled(self.network, first, serving.inputs, serving.outputs, rounded)
        speak = compiled(self.network, second, (*serving.inputs, steps), serving.outputs, rounded, ("steps",))

        def serve(inputs):
            frames = int(np.asarray(count(inputs)["durations"]).sum(1).max())
            needed = -(-max(frames, 1) // self.config.frames_per_step)
            found = speak(inputs | {"steps": np.int32(-(-needed // _STEPS) * _STEPS)})
            frames = needed * self.config.frames_per_step
            found["log_mel"], found["pitch"] = found["log_mel"][:, :frames], found["pitch"][:, :frames]
            found["audio"] = found["audio"][:, : self.vocoder.samples(frames)]
            return found

        return serve

    def _example(self, batch, seed):
        random = np.random.default_rng(seed)
        lengths = random.integers(3, 30, batch).astype("int32")
        symbols = random.integers(1, len(self.vocabulary), (batch, lengths.max() + seed % 2))
        symbols = np.where(np.arange(symbols.shape[1]) < lengths[:, None], symbols, 0).astype("int32")
        return {
            "symbols": symbols,
            "symbol_lengths": lengths,
            "speed": random.uniform(0.7, 1.5, batch).astype("float32"),
        }

    # === Training ===

    def set_scale(self, samples: Iterable[dict[str, np.ndarray]]) -> None:
        """Mean and deviation of bands, pitch and loudness, of encoded samples, for the layer ``scale``."""
        mel = np.concatenate([sample["mel"] for sample in samples])
        prosody = np.concatenate([sample["prosody"] for sample in samples])
        voiced = prosody[prosody[:, 1] > 0.5, 0]
        pitch = voiced if len(voiced) else prosody[:, 0]
        mean = [*mel.mean(0), pitch.mean(), 0.0, prosody[:, 2].mean()]
        deviation = [*mel.std(0), pitch.std(), 1.0, prosody[:, 2].std()]
        self._scale.set(mean, deviation)

    def training_model(self) -> keras.Model:
        """The network with its loss, for ``fit`` on the batches of ``zoo.data.pipeline``."""
        return Speaking(self.network, self._scale)

    def encode_sample(self, sample: dict[str, Any]) -> dict[str, Any]:
        """A corpus sample as the pipeline keeps it.

        ``symbols`` and ``durations`` int32 ``[symbols]``; ``mel`` float32 ``[frames, mels]``; ``prosody``
        float32 ``[steps, 3]``.
        """
        import tensorflow as tf

        def encode(audio, text):
            return self.encode(audio, text.decode())

        kinds = [tf.int32, tf.int32, tf.float32, tf.float32]
        symbols, durations, mel, prosody = tf.numpy_function(
            encode, [sample["audio"], sample["text"]], kinds, stateful=False
        )
        return {
            "symbols": tf.ensure_shape(symbols, (None,)),
            "durations": tf.ensure_shape(durations, (None,)),
            "mel": tf.ensure_shape(mel, (None, self.config.mels)),
            "prosody": tf.ensure_shape(prosody, (None, PROSODY)),
        }

    def encode(self, audio: np.ndarray, text: str) -> tuple:
        """int16 ``[samples]`` and its transcript -> the arrays of ``encode_sample``."""
        symbols, first, durations = self.alignments[text, len(audio)]
        rows = np.array(self.vocabulary.encode(symbols), np.int32)
        per_step, count = self.config.frames_per_step, durations.sum()
        mel, prosody = analyse(audio / 32768.0, self.log_mel, per_step, first, count)
        return rows, durations, mel, prosody

    def augment_sample(self, sample: dict[str, Any], seed: Any) -> dict[str, Any]:
        return sample

    def is_learnable(self, sample: dict[str, Any]) -> bool:
        return True

    def sample_length(self, sample: dict[str, Any]) -> Any:
        import tensorflow as tf

        return tf.shape(sample["mel"])[0]

    def corpus_lengths(self, corpus: Speech) -> np.ndarray:
        every = zip(corpus.texts, corpus.lengths.tolist(), strict=True)
        return np.array([self.alignments[text, samples][2].sum() for text, samples in every])

    def collate(self, batch: dict[str, Any], round_to: int) -> tuple[dict[str, Any], dict[str, Any]]:
        """A padded batch of samples -> ``(inputs, labels)`` of ``training_model``."""
        import tensorflow as tf

        per_step = self.config.frames_per_step

        def padded(values, size):
            extra = size - tf.shape(values)[1]
            return tf.pad(values, [(0, 0), (0, extra)] + [(0, 0)] * (values.shape.rank - 2))

        steps = tf.shape(batch["prosody"])[1]
        steps += -steps % round_to
        symbols = tf.shape(batch["symbols"])[1]
        symbols += -symbols % max(1, round_to // 4)
        inputs = {
            "symbols": padded(batch["symbols"], symbols),
            "symbol_lengths": batch["symbol_lengths"],
            "durations": padded(batch["durations"], symbols),
            "prosody": padded(batch["prosody"], steps),
            "step_lengths": batch["prosody_lengths"],
        }
        labels = {
            "mel": padded(batch["mel"], steps * per_step),
            "mel_lengths": batch["mel_lengths"],
        }
        return inputs, labels


def log_mel_of(config: SpeechSynthesisConfig) -> LogMel:
    """The ``LogMel`` that a voice speaks, as its configuration says."""
    return LogMel(config.sampling_rate, config.frame_length, config.hop, config.mels)


def analyse(
    samples: np.ndarray, log_mel: LogMel, per_step: int, first: int = 0, count: int | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """What a voice is to say of a recording: ``mel`` ``[count, mels]``, ``prosody`` ``[steps, 3]``, unscaled.

    Args:
        samples: float ``[samples]`` in -1..1.
        log_mel: the ``LogMel``.
        per_step: frames in a step.
        first, count: the frames that are kept; by default all.
    """
    mel = log_mel(samples)
    hertz = pitch(samples, log_mel.sampling_rate, log_mel.hop, len(mel), log_mel.frame_length // 2)
    tracks = np.stack([contour(hertz), hertz > 0, mel.mean(1)], 1).astype(np.float32)
    last = len(mel) if count is None else first + count
    mel, tracks = mel[first:last], tracks[first:last]
    tracks = np.pad(tracks, ((0, -len(tracks) % per_step), (0, 0)), mode="edge")
    return mel, tracks.reshape(-1, per_step, PROSODY).mean(1)


# === Layers ===


@keras.saving.register_keras_serializable("seqzoo")
class Stretch(layers.Layer):
    """What is known of each symbol, for each step of the time that it lasts.

    Inputs: float ``[batch, symbols, features]`` and int32 ``[batch, symbols]``, frames of each. Output:
    ``[batch, steps, features + 3]``: of the symbol in whose time the step begins, and where in it that is:
    frames since it began and until it ends, in tens, and the share that has passed. Zeros beyond the last
    symbol. There are as many steps as in ``like``, or ``count``, or those of the longest.

    Args:
        per_step: frames in a step.
    """

    def __init__(self, per_step: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.per_step = per_step

    def call(self, values: Any, durations: Any, like: Any = None, count: int | None = None) -> Any:
        ends = ops.cumsum(durations, 1)
        if like is not None:
            count = ops.shape(like)[1]
        elif count is None:
            count = ops.maximum((ops.max(ends[:, -1]) + self.per_step - 1) // self.per_step, 1)
        time = ops.arange(count, dtype="int32")[None, :, None] * self.per_step
        starts, ends = (ends - durations)[:, None], ends[:, None]
        inside = ops.logical_and(time >= starts, time < ends)
        chosen = ops.cast(inside, values.dtype)
        since = ops.sum(ops.where(inside, time - starts, 0), -1)
        until = ops.sum(ops.where(inside, ends - time, 0), -1)
        since, until = ops.cast(since, "float32"), ops.cast(until, "float32")
        share = since / ops.maximum(since + until, 1.0)
        places = ops.cast(ops.stack([0.1 * since, 0.1 * until, share], -1), values.dtype)
        return ops.concatenate([ops.matmul(chosen, values), places], -1)

    def compute_output_spec(
        self, values: Any, durations: Any, like: Any = None, count: int | None = None
    ) -> Any:
        steps = count if like is None else like.shape[1]
        return keras.KerasTensor((values.shape[0], steps, values.shape[-1] + 3), values.dtype)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "per_step": self.per_step}


@keras.saving.register_keras_serializable("seqzoo")
class Scale(layers.Layer):
    """Gives mean 0 and deviation 1 to the bands of a spectrogram ("mel") and to "prosody", or takes them.

    Its weights are found from a corpus, not learned.

    Args:
        mels: bands.
    """

    def __init__(self, mels: int, **kwargs: Any) -> None:
        super().__init__(**{**kwargs, "dtype": "float32"})
        self.mels = mels

    def build(self, *shapes: Any) -> None:
        size = {"shape": (self.mels + PROSODY,), "trainable": False}
        self.mean = self.add_weight(initializer="zeros", name="mean", **size)
        self.deviation = self.add_weight(initializer="ones", name="deviation", **size)

    def set(self, mean: Sequence[float], deviation: Sequence[float]) -> None:
        """Both float ``[mels + 3]``: of the bands, of pitch, voicing and loudness."""
        self.mean.assign(np.asarray(mean, "float32"))
        self.deviation.assign(np.maximum(np.asarray(deviation, "float32"), 1e-2))

    def call(self, values: Any, kind: str, inverse: bool = False) -> Any:
        part = slice(0, self.mels) if kind == "mel" else slice(self.mels, None)
        mean, deviation = self.mean[part], self.deviation[part]
        return values * deviation + mean if inverse else (values - mean) / deviation

    def compute_output_spec(self, values: Any, kind: str, inverse: bool = False) -> Any:
        return keras.KerasTensor(values.shape, "float32")

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "mels": self.mels}


@keras.saving.register_keras_serializable("seqzoo")
class Comb(layers.Layer):
    """Where the harmonics of a pitch are: 1 in the bands on one, -1 in those between two, 0 without a pitch.

    Input: ``[batch, steps, 3]``, of which the first two are the logarithm of the pitch (of Hz) and how voiced
    it is. Output: ``[batch, steps, bands]``.

    Args:
        frequencies: the middle of each band, Hz.
    """

    def __init__(self, frequencies: np.ndarray, **kwargs: Any) -> None:
        super().__init__(**{**kwargs, "dtype": "float32"})
        self.frequencies = np.asarray(frequencies, "float32")

    def call(self, prosody: Any) -> Any:
        hertz = ops.exp(ops.clip(prosody[..., :1], 3.0, 7.0))
        turns = self.frequencies / hertz
        turns = turns - ops.floor(turns)
        return ops.cos(2 * np.pi * turns) * prosody[..., 1:2]

    def compute_output_spec(self, prosody: Any) -> Any:
        return keras.KerasTensor((*prosody.shape[:-1], len(self.frequencies)), "float32")

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "frequencies": self.frequencies.tolist()}


@keras.saving.register_keras_serializable("seqzoo")
class Speaking(TrainingModel):
    """``network`` with its loss: how far frames, durations and prosody are from those of a recording.

    Args:
        network: of ``SpeechSynthesis``.
        scale: its layer ``Scale``.
    """

    def __init__(self, network: keras.Model, scale: Any) -> None:
        super().__init__(network)
        self.scale = scale

    def compute_loss(
        self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None,
        training: bool | None = True,
    ) -> Any:  # fmt: skip
        def mean(losses, lengths):
            within = ops.arange(ops.shape(losses)[1], dtype="int32")[None] < lengths[:, None]
            total = ops.sum(ops.where(within, losses, 0.0), 1)
            return total / ops.cast(ops.maximum(lengths, 1), "float32")

        mel, usable = self.usable(y_pred["mel"])
        apart = mel - self.scale(y["mel"], kind="mel")
        losses = mean(ops.mean(ops.abs(apart) + 0.5 * ops.square(apart), -1), y["mel_lengths"])
        wanted = ops.log(ops.cast(x["durations"], "float32") + 1.0)
        apart = y_pred["durations"] - wanted
        losses += mean(ops.square(apart), x["symbol_lengths"])
        told, found = self.scale(x["prosody"], kind="prosody"), y_pred["prosody"]
        voiced = told[..., 1]
        tone = ops.abs(found[..., 0] - told[..., 0]) * (0.1 + 0.9 * voiced)
        logit = found[..., 1]
        voicing = ops.maximum(logit, 0.0) - logit * voiced + ops.log1p(ops.exp(-ops.abs(logit)))
        loud = ops.abs(found[..., 2] - told[..., 2])
        losses += mean(0.3 * tone + 0.3 * voicing + 0.3 * loud, x["step_lengths"])
        return ops.mean(self.counted(losses, usable))


TASK = SpeechSynthesis
