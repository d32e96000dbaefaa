"""Evaluation of policies: closed-loop scores from play, and perplexity on held-out recordings.

Called, `eyehand.evaluate(options)` is `score.evaluate`, for both have one name.
"""

import sys
from types import ModuleType
from typing import Any


class _Evaluate(ModuleType):
    def __call__(self, *arguments: Any) -> Any:
        from eyehand.evaluate.score import evaluate

        return evaluate(*arguments)


sys.modules[__name__].__class__ = _Evaluate
