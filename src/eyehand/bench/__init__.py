"""What `eyehand bench` measures: speed, and what speed costs in quality."""
