"""Work over many recordings, on one machine or a cluster."""
