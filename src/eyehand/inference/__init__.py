"""The live tick: one picture in, one action's tokens out, on every runtime."""
