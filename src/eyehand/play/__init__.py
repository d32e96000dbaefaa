"""Live play and its report."""
