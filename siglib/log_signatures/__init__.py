"""Log-signatures, in words or in coordinates on Lyndon words."""
