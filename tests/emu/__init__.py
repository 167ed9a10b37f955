"""CUDA kernels on the CPU: an emulator that runs siglib's `.cu` files, and a stand-in for CuPy that launches on it."""
