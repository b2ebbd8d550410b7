"""Corpora of captioned videos, prepared once.

A corpus is a folder, a zip or a tar of videos (AVI, MP4, GIF, WebM …), of folders of frames, or of ``.npy``
arrays (frames uint8 ``[frames, height, width, 3]``, or features ``[frames, features]`` where the model takes
such), in any subfolders, with one or more lists of captions, known by what they say; docs/corpora.md shows
each layout:

- tables with a column ``video`` (or ``file_name``, ``video_id``, ``clip``) and one ``caption`` (or
  ``sentence``, ``description``, ``text``); a further row of a video is a further caption. MSVD's own,
  whose files are called ``VideoID_Start_End.avi``, is one of these;
- JSON: MSR-VTT's, lists of objects with such names, as of MSVD's copies, COCO's and ``metadata.jsonl``;
- on each line a video, with or without its suffix, a tab or a blank and a caption, as MSVD has it;
- where there is none of these, ``NAME.txt`` beside ``NAME.avi`` or the folder ``NAME``, a caption on each
  line.

Videos are named relative to the list, or by the end of their path. So is such a list alone, or a pattern or
list of videos. ``PATH@3`` shows a small corpus three times an epoch.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from zoo.data import listed
from zoo.data.captions import CaptionedSamples, normalising, read_captioned
from zoo.data.given import Given
from zoo.data.late import tf, tfds
from zoo.data.samples import LocalCorpus, feature_of
from zoo.errors import UserError
from zoo.formats.tables import check_named, with_columns
from zoo.images.videos import FRAME_SUFFIXES, VIDEO_SUFFIXES, frames_of, read_features, read_video

if TYPE_CHECKING:
    from pathlib import Path

    from zoo.data.listed import Kind
    from zoo.files import FileList

_VIDEO_COLUMNS = (
    "video", "video_name", "file_name", "filename", "video_path", "file", "path", "video_id", "videoid",
    "clip", "clip_name", "vid", "id", "image_id",
)  # fmt: skip
KIND = listed.Kind(
    noun="caption",
    columns=("caption", "sentence", "description", "text", "title"),
    image_columns=_VIDEO_COLUMNS,
    header="video,caption",
    option="caption",
    several=True,
    span=(("start", "start_time"), ("end", "end_time")),
    language="language",
    thing="video",
    suffixes=VIDEO_SUFFIXES,
    part_suffixes=FRAME_SUFFIXES,
    **normalising(),
)


class VideoCorpus(LocalCorpus):
    """Reads one local corpus: ``video`` or ``features``, ``text`` and ``name`` of each video.

    ``text`` are the normalised captions, one on each line.

    Args:
        path: the folder, archive or ``FileList``.
        size: side of the squares to which frames are stretched, in pixels.
        most: frames of a video, at most.
        width: features of a frame, where the corpus holds such; 0 for videos.
        kind: ``KIND``, perhaps with columns that a person named.
    """

    def __init__(
        self, path: str | os.PathLike | FileList, size: int, most: int, width: int, kind: Kind = KIND
    ) -> None:
        super().__init__(path)
        self.size, self.most, self.width, self.kind = size, most, width, kind
        seen = tfds.features.Tensor(shape=(None, size, size, 3), dtype=np.uint8, encoding="bytes")
        if width:
            seen = tfds.features.Tensor(shape=(None, width), dtype=np.float32, encoding="bytes")
        name = "features" if width else "video"
        self.features = {name: seen, "text": tfds.features.Text(), "name": tfds.features.Text()}

    def samples(self) -> Iterator[dict[str, Any]]:
        def read(data, name):
            if self.width:
                return {"features": read_features(data, self.width, self.most, name)}
            if isinstance(data, dict):
                data = {one: data[one] for one in frames_of(data)}
            return {"video": read_video(data, self.size, self.most, name)}

        for name, seen, captions in read_captioned(self.path, read, self.skipped, self.kind):
            yield seen | {"text": "\n".join(captions), "name": name}

    def unusable(self, reason: str) -> UserError:
        wanted = "give videos and captions.csv, whose first line is video,caption"
        return listed.unusable(self.path, self.kind, "captioned videos", reason, wanted)


class VideoSamples(CaptionedSamples):
    """Some captioned videos of one or more prepared corpora; see ``zoo.data.captions.CaptionedSamples``.

    ``dataset`` gives ``video``, uint8 ``[frames, size, size, 3]``, or ``features``, float32 ``[frames,
    width]``, and ``text``.
    """

    noun = "video"
    version = 1
    suffixes = VIDEO_SUFFIXES
    size = most = width = None  # as of ``VideoCorpus``; `load_videos` makes a class for each

    @classmethod
    def local(cls, path: str | os.PathLike | FileList) -> VideoCorpus:
        return VideoCorpus(path, cls.size, cls.most, cls.width, KIND.naming(cls.named))

    @classmethod
    def locate(cls, path: str | os.PathLike) -> tuple[Path | FileList, str]:
        return listed.located(path, KIND.naming(cls.named)) or super().locate(path)

    @classmethod
    def uniform(cls, builder: Any) -> Callable:
        return _public(builder, cls.size, cls.most)

    def chunks(self, size: int) -> Iterator[tuple[list[np.ndarray], list[list[str]]]]:
        """Iterate over ``(videos, references)``: lists of up to ``size`` arrays and lists of str."""
        name = "features" if self.width else "video"
        for batch in self._batches(size):
            texts = [sample["text"].decode() for sample in batch]
            yield [sample[name] for sample in batch], [text.split("\n") for text in texts]


def _public(builder, size, most):
    """``uniform`` of a public set with a feature that is a video, and a caption or a label for it.

    Raises:
        UserError: it has none.
    """
    features = builder.info.features
    key = feature_of(builder, tfds.features.Video, ["video"], "videos and their captions")
    said = next((n for n in ("caption", "captions", "text", "sentence") if n in features), None)
    if said is None:
        raise UserError(f"tfds:{builder.name} has no captions; there are {', '.join(sorted(features))}.")

    def convert(sample):
        video = tf.numpy_function(
            lambda v: read_video(v, size, most), [sample[key]], tf.uint8, stateful=False
        )
        captions = tf.reshape(sample[said], [-1])
        text = tf.numpy_function(
            lambda said: "\n".join(filter(None, (KIND.clean(one.decode()) for one in said))).encode(),
            [captions], tf.string, stateful=False,
        )  # fmt: skip
        return {"video": tf.ensure_shape(video, (None, size, size, 3)), "text": tf.ensure_shape(text, ())}

    return convert


def load_videos(
    corpora: Any, only: str | None = None, progress: bool = False, size: int = 56, most: int = 10,
    width: int = 0, columns: dict[str, str] | None = None,
) -> VideoSamples:  # fmt: skip
    """Prepare corpora (the first time) and give their videos as ``VideoSamples``.

    Args:
        corpora: a list of folders, archives, lists, videos and ``tfds:`` names, or one of these.
        only: a regular expression; videos are kept whose ``CORPUS/SPLIT/FILE`` it matches somewhere.
        progress: show progress bars.
        size, most, width: as of ``VideoCorpus``.
        columns: ``{"video": name, "caption": name}`` of tables, where ``KIND`` knows no such names.

    Raises:
        UserError: a corpus is missing, cannot be read or holds no video with captions that can be used.
    """
    # Prepared corpora are known by the class's name.
    kind = type(
        f"Videos_{size}_{most}_{width}", (VideoSamples,), {"size": size, "most": most, "width": width}
    )
    return with_columns(kind, check_named(columns, KIND.wanted)).load(corpora, only, progress)


GIVEN = Given(("video", "caption"), "video", KIND.image_columns)


def load_corpus(
    corpora: Any, config: dict[str, Any], only: str | None = None, progress: bool = False,
    columns: dict[str, str] | None = None,
) -> VideoSamples:  # fmt: skip
    """Corpora as a model reads them; ``config``, a dict, is its configuration."""
    size, most, width = config["frame_size"], config["frames"], config["features"]
    return load_videos(corpora, only, progress, size, most, width, columns)
