"""Things by name, each loaded when it is asked for: ours from a table, those of other packages from entry points.

    GAMES = Registry(GameFamily, "eyehand.games", {"doom": "eyehand.games.doom.family:DOOM"})

A package joins by an entry point of that group whose name is the thing's and whose object is one of that class. What is
wrong with a package is said in one sentence that names it, and only to who asks for its thing.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING, Generic, TypeVar

from eyehand.errors import UserError

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

__all__ = ["Registry"]

Thing = TypeVar("Thing")


class Registry(Generic[Thing]):
    """Things of one class by name. Names can be listed without loading anything.

    Args:
        kind: their class.
        group: of the entry points through which other packages join.
        ours: name to "module:attribute". No package can put something else in the place of one of these.
    """

    def __init__(self, kind: type[Thing], group: str, ours: Mapping[str, str]) -> None:
        self.kind, self.group, self._ours = kind, group, ours

    @cached_property
    def _others(self) -> dict[str, EntryPoint]:
        from importlib.metadata import entry_points

        return {point.name: point for point in entry_points(group=self.group)}

    @property
    def names(self) -> list[str]:
        """All names, ours first."""
        return list(dict.fromkeys((*self._ours, *self._others)))

    def __contains__(self, name: str) -> bool:
        return name in self._ours or name in self._others

    def load(self, name: str) -> Thing:
        """The thing of this name, which is one of `names`.

        Raises:
            UserError: the package that it comes from is broken.
        """
        with self.blame(name):
            ours = self._ours.get(name)
            thing = self._others[name].load() if ours is None else pkgutil.resolve_name(ours)
            if not isinstance(thing, self.kind):
                raise TypeError(f"it is no {self.kind.__name__}")
            return thing

    @contextmanager
    def blame(self, name: str) -> Iterator[None]:
        """Whatever the thing of another package raises in here becomes a UserError that names the package."""
        try:
            yield
        except UserError:
            raise
        except (Exception, SystemExit) as error:
            package = None if name in self._ours else self._others[name].dist
            if package is None:
                raise
            told = (str(error).splitlines() or [""])[0]
            raise UserError(
                f"{name!r} comes from the package {package.name} {package.version}, which does not work here "
                f"({type(error).__name__}: {told}): update it, or `pip uninstall {package.name}`."
            ) from error
