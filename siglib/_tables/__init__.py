"""Constants that are made once on the host, from dimension and degree alone, and read by kernels of all backends."""
