"""One module per command: its options with their documentation, and `run`, which calls the library and prints."""
