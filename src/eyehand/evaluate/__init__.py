"""How good a policy is: scores from play, and what its predictions cost on held-out recordings."""
