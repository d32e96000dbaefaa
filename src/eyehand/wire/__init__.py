"""The wire between game client and model server: framing, messages, addresses. Both ends use it."""
