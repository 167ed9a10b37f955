"""Paths, and what is done to them before anything else."""
