"""Who acts: policies, demonstrators, people, random, a model on another machine, and the hand-over between two."""
