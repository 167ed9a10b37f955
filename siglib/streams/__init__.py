"""Objects that keep a path which grows, or is asked about again and again."""
