"""Signatures and everything in words."""
