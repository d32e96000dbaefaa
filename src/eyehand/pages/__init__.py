"""Pages and charts to look at, each one HTML file without anything from outside."""
