"""`eyehand play-with`: a person and an agent in one game, each on a screen of their own."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass

from eyehand.commands.play import say_what_came_of_it
from eyehand.play.play_options import LiveOptions


@dataclass(frozen=True, kw_only=True)
class Options(LiveOptions):
    """Options of `eyehand play-with`.

    Attributes:
        game: a game that two can play, for example crispy-doom, or the path of a profile of your own.
        mode: how, for example deathmatch or co-op. Default: the game's usual mode.
        size: size of your window, for example 1280x720. Default: as the game's profile says.
        own_screen: size of the agent's screen.
        visible: show the agent's screen in a window of yours.
        seconds: how long the agent plays at most. Default: until you leave the game.
    """

    game: str = "crispy-doom"
    mode: str | None = None
    size: str | None = None
    own_screen: str = "640x480"
    visible: bool = False
    seconds: float = 86400.0


def run(options: Options) -> int:
    """Start both games, let the agent play until the person leaves. Ends with 130 if Ctrl-C cut it short."""
    from eyehand.desktop import require_xcb

    require_xcb()
    from eyehand.desktop.profile import parse_size
    from eyehand.games.desktop.together import TogetherGame
    from eyehand.games.families import desktop_profile
    from eyehand.play.play import play_with

    game = TogetherGame(
        desktop_profile(options.game),
        options.mode,
        parse_size(options.own_screen),
        size_px=None if options.size is None else parse_size(options.size),
        visible=options.visible,
    )
    with closing(game), options.agent.opened(game) as player:
        game.check_display()
        report = play_with(game, player, options, has_ended=lambda: game.has_ended)
    return say_what_came_of_it(report)
