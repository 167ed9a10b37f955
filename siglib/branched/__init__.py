"""Branched signatures, in trees and forests instead of words."""
