"""Constants that are made once, on the host, and kept."""
