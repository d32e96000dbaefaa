"""Self-improvement: a policy learns from the better episodes of its own play, round by round."""
