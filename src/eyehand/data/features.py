"""Features of recorded pictures, computed once by a frozen image trunk and kept beside the recordings: `FeatureFiles`.

    FOLDER/.features/KEY/NAME.npy      of the recording FOLDER/NAME: float16 (views, frames, features)

The key names the trunk's weights and the resize, so that what another trunk made is never taken for this one's. Behind
the array stands the `fingerprint` of the video: features of a video that was replaced are made anew. View 0 is the
picture as it is, the others are augmented. `train.features` makes the files. Knows no network.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from eyehand.errors import UserError
from eyehand.recording.file_range import FileRange, open_file

__all__ = ["FeatureFiles", "fingerprint"]

_SAMPLE_BYTES = 1 << 16


@dataclass(frozen=True)
class FeatureFiles:
    """Where the features of one trunk lie.

    Attributes:
        key: of the trunk, in the path.
        size: features of a picture.
        views: of a picture; only the first is not augmented.
        is_plain: whether only the first is ever drawn: for evaluation.
    """

    key: str
    size: int
    views: int = 1
    is_plain: bool = False

    def path(self, video: Path | FileRange) -> Path:
        """The file for the pictures of this video.

        Raises:
            UserError: the video is not on this machine.
        """
        if isinstance(video, FileRange) and (video.offset or "://" in video.url):  # else a file, listed in an index
            if "://" in video.url:
                raise UserError(
                    f"Features of {video} would lie beside it, and it is not on this machine: make an index with "
                    "`eyehand data index --keep`, or train without --trunk."
                )
            file = Path(video.url).absolute()
            folder, name = file.parent, f"{file.name}-{video.offset}"
        else:
            recording = Path(video.url if isinstance(video, FileRange) else video).absolute().parent
            folder, name = recording.parent, recording.name
        return folder / ".features" / self.key / f"{name}.npy"

    def has(self, video: Path | FileRange, num_frames: int) -> bool:
        """Whether there are features of the first `num_frames` pictures of this very video."""
        try:
            views, frames, size = self._open(video).shape
            with self.path(video).open("rb") as file:
                file.seek(-hashlib.sha256().digest_size, os.SEEK_END)
                is_same = file.read() == fingerprint(video)
        except (OSError, ValueError, EOFError):
            return False
        return is_same and (views, size) == (self.views, self.size) and frames >= num_frames

    def read(self, video: Path | FileRange, start: int, length: int, seed: int = 0) -> NDArray[np.float16]:
        """Features (length, size) of pictures `start` to `start + length - 1`; `seed` draws the view.

        Raises:
            UserError: there are none.
        """
        try:
            features_VNF = self._open(video)
            if features_VNF.shape[1] < start + length:
                raise ValueError("too short")
            view = 0 if self.is_plain else seed % self.views
            return np.asarray(features_VNF[view, start : start + length])
        except (OSError, ValueError, EOFError) as error:
            raise UserError(f"{self.path(video)} is gone or damaged ({error}): train again to make it anew.") from error

    def _open(self, video: Path | FileRange) -> NDArray[np.float16]:
        features_VNF: NDArray[np.float16] = np.load(self.path(video), mmap_mode="r", allow_pickle=False)
        if features_VNF.ndim != 3 or features_VNF.dtype != np.float16:
            raise ValueError("no features")
        return features_VNF


def fingerprint(video: Path | FileRange) -> bytes:
    """SHA-256 of a video's size, beginning and end, which two videos do not share.

    Raises:
        OSError: it cannot be read.
    """
    with open_file(video) as file:
        size = file.seek(0, os.SEEK_END)
        digest = hashlib.sha256(str(size).encode())
        for start in (0, max(0, size - _SAMPLE_BYTES)):
            file.seek(start)
            digest.update(file.read(_SAMPLE_BYTES))
    return digest.digest()
