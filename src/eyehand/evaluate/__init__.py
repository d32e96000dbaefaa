"""Evaluation of policies: closed-loop scores from play, and perplexity on held-out recordings."""
