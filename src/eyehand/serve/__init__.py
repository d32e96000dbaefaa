"""Serves a model to many clients over sockets."""
