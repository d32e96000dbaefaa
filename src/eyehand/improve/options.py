"""Options of self-improvement, as the command line and the library have them. Imports nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from eyehand.errors import UserError

__all__ = ["ImproveOptions"]


@dataclass(frozen=True, kw_only=True)
class ImproveOptions:
    """Options of `eyehand improve`.

    Attributes:
        checkpoint: the policy to begin with: a bundled checkpoint's name or a folder.
        game: a family (doom), one game (doom/aim), or several with commas between; or a desktop game whose
            profile says how it is scored (chromium-bsu).
        out: folder of this run: play, training and scores of every round, report.html, and the best policy.
        data: recordings that are learnt from in every round as well, such as those that the policy was trained on.
        rounds: at most so many.
        starts: seeded starts of each game in a round.
        tries: episodes from every start; the best is kept if it is better than their mean.
        dagger: record as much again in which the demonstrator labels what the policy does, and learn from that too.
        minutes: of training in a round.
        kl: weight in the loss of the divergence from the policy before.
        lr: peak learning rate.
        validation: episodes of each game, from seeds of their own, that decide whether a round is accepted.
        workers: processes that play. Default: one per core.
        seed: of everything random.
    """

    checkpoint: str
    game: str
    out: Path
    data: tuple[Path, ...] = ()
    rounds: int = 3
    starts: int = 40
    tries: int = 4
    dagger: bool = False
    minutes: float = 10.0
    kl: float = 0.1
    lr: float = 3e-4
    validation: int = 40
    workers: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        """Reject invalid options.

        Raises:
            UserError: naming the first wrong option.
        """
        for name in ("rounds", "starts", "validation", "workers"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise UserError(f"Option --{name} is {value}: it must be at least 1.")
        if self.tries < 2:
            raise UserError(f"Option --tries is {self.tries}: of fewer than 2 episodes none is better than their mean.")
        for name in ("minutes", "lr"):
            if not 0 < getattr(self, name) < float("inf"):
                raise UserError(f"Option --{name} is {getattr(self, name)}: it must be above 0.")
        if not 0 <= self.kl < float("inf"):
            raise UserError(f"Option --kl is {self.kl}: it must not be negative.")
