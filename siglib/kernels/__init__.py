"""Signature kernels, static kernels and metrics."""
