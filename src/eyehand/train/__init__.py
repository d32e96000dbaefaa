"""Behaviour cloning of recordings. Called, `eyehand.train(config)` is `loop.train`, for both have one name."""

import sys
from types import ModuleType
from typing import Any


class _Train(ModuleType):
    def __call__(self, config: Any) -> Any:
        from eyehand.train.loop import train

        return train(config)


sys.modules[__name__].__class__ = _Train
