"""Speech as another speaker in another room might say it, in tf.data."""

from __future__ import annotations

from typing import Any

import tensorflow as tf


def augment_speech(audio: Any, seed: Any, rate: int = 16000) -> Any:
    """Vary one recording at random: speed and pitch, room, noise, level, and where it begins.

    Each of them happens with its own probability, and mildly. The speed is changed by resampling (Ko et al.
    2015, "Audio augmentation for speech recognition"), which moves the formants too, as between adults and
    children; the room is an exponentially decaying noise as impulse response; the noise is coloured
    at random between white and brown; and the beginning moves by up to 5 ms (Hannun et al. 2014, section
    2.2).

    Args:
        audio: int16 ``[samples]``.
        seed: int ``[2]``; the same seed gives the same variation.
        rate: samples per second.

    Returns:
        int16 ``[samples of the new speed]``.
    """
    seed = tf.cast(seed, tf.int32)
    chance = tf.random.stateless_uniform((9,), seed)

    def between(i, low, high):
        return low + (high - low) * chance[i]

    x = tf.cast(audio, tf.float32) / 32768.0
    x = tf.cond(chance[0] < 0.8, lambda: _faster(x, between(1, 0.85, 1.2)), lambda: x)
    shift = tf.cast(between(2, -0.005, 0.005) * rate, tf.int32)
    x = tf.concat([tf.zeros(tf.maximum(shift, 0)), x], 0)[tf.maximum(-shift, 0) :]
    x = tf.cond(chance[3] < 0.2, lambda: _in_a_room(x, between(4, 0.05, 0.3), seed + 1, rate), lambda: x)
    x = tf.cond(
        chance[5] < 0.4,
        lambda: x + _noise(x, between(6, 15.0, 40.0), between(7, 0.0, 2.0), seed + 2),
        lambda: x,
    )
    x *= 10.0 ** (between(8, -12.0, 6.0) / 20)
    return tf.cast(tf.round(tf.clip_by_value(x, -1.0, 1.0) * 32767), tf.int16)


def _faster(x, factor):
    """Resampled through its spectrum, so that it lasts about ``1 / factor`` as long."""
    before = _fft_length(tf.size(x))
    after = _fft_length(tf.cast(tf.cast(before, tf.float32) / factor, tf.int32))
    kept = tf.signal.rfft(x, [before])[: after // 2 + 1]
    kept = tf.pad(kept, ((0, after // 2 + 1 - tf.size(kept)),))
    ratio = tf.cast(after, tf.float32) / tf.cast(before, tf.float32)
    count = tf.cast(tf.cast(tf.size(x), tf.float32) * ratio, tf.int32)
    return tf.signal.irfft(kept, [after])[:count] * ratio


def _in_a_room(x, decay, seed, rate):
    """With the echo of a room whose sound falls by 60 dB within ``decay`` seconds; as long as before."""
    count = tf.cast(decay * rate, tf.int32)
    time = tf.range(count, dtype=tf.float32) / rate
    echo = tf.random.stateless_normal((count,), seed) * tf.exp(-6.9 * time / decay)
    share = tf.random.stateless_uniform((), seed, 0.1, 0.6)
    echo *= share / tf.maximum(tf.norm(echo), 1e-6)
    length = _fft_length(tf.size(x) + count)
    wet = tf.signal.irfft(tf.signal.rfft(x, [length]) * tf.signal.rfft(echo, [length]), [length])[
        : tf.size(x)
    ]
    return x + wet


def _noise(x, decibels, colour, seed):
    """Noise so many dB below the signal, its power falling as frequency to the power of ``colour``."""
    length = _fft_length(tf.size(x))
    real, imaginary = tf.unstack(tf.random.stateless_normal((2, length // 2 + 1), seed))
    frequency = tf.range(1, length // 2 + 2, dtype=tf.float32)
    amplitude = frequency ** (-colour / 2)
    noise = tf.signal.irfft(tf.complex(real * amplitude, imaginary * amplitude), [length])[: tf.size(x)]
    loud = tf.sqrt(tf.reduce_mean(x * x) / tf.maximum(tf.reduce_mean(noise * noise), 1e-12))
    return noise * loud * 10.0 ** (-decibels / 20)


# Lengths without large prime factors, whose transforms take a fraction of the time.
_LENGTHS = sorted(2**a * 3**b * 5**c for a in range(1, 20) for b in range(5) for c in range(3))


def _fft_length(samples):
    """The next length that transforms fast."""
    lengths = tf.constant(_LENGTHS)
    return lengths[tf.searchsorted(lengths, [samples])[0]]
