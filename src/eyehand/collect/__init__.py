"""Recording: people and players play, and what they did is kept."""
