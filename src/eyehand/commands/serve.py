"""`eyehand serve`: a checkpoint that plays for clients on a socket."""

from __future__ import annotations

from eyehand.serve.serve_options import ServeOptions as Options

__all__ = ["Options", "run"]


def run(options: Options) -> int:
    """Serve until Ctrl-C or SIGTERM; ends with 130 or 143 then."""
    import logging

    from eyehand.serve.serve import serve
    from eyehand.terminal import output

    logging.getLogger("eyehand.serve").setLevel(logging.INFO)
    ended_by = serve(
        options,
        lambda addresses: output(f"serving {options.checkpoint} at {', '.join(map(str, addresses))}"),
    )
    return 128 + ended_by
