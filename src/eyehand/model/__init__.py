"""The network in PyTorch: text, vision, backbone, action decoder, sizes."""
