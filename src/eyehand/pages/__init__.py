"""Reports and charts as self-contained HTML files."""
