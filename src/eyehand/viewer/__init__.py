"""A page in the browser that shows live play, and lets a person take it over from there."""
