"""Lengths of signatures, and the refusal of those that nothing can hold."""

# Lengths are 64-bit in the loops; anything that could not be addressed is refused before it is allocated.
MAX_LENGTH = 2**63 - 1


class SizeError(ValueError):
    """Options ask for more numbers than anything can hold."""


def augmented_dimension(dimension: int, time_aug: bool, lead_lag: bool) -> int:
    """Number of channels of a path after its transforms."""
    return (2 * dimension if lead_lag else dimension) + (1 if time_aug else 0)


# Fewer channels are faster through trees than as products of matrices: as in `_cpu/two_levels.pxd`.
_CHANNELS_OF_TWO_LEVELS = 32


def goes_through_trees(dimension: int, width: int, degree: int) -> bool:
    """Whether signatures of paths of so many channels, `width` after transforms, are neither differences nor powers nor
    products of matrices: these have no loops for paths of unequal lengths."""
    return width != 1 and (degree > 2 or (degree == 2 and dimension < _CHANNELS_OF_TWO_LEVELS))


def tensor_length(dimension: int, degree: int) -> int:
    """Number of words of length 1 to `degree`: the length of a signature without its scalar term, any size."""
    if dimension == 1:
        return degree
    if dimension == 0:
        return 0
    # d + ... + d^N = (d^(N+1) - d) / (d - 1); the bound keeps absurd degrees from computing absurd powers.
    if degree > 64:
        return MAX_LENGTH + 1
    return (dimension ** (degree + 1) - dimension) // (dimension - 1)


def checked_tensor_length(dimension: int, degree: int) -> int:
    """`tensor_length`, or SizeError if it passes what 64 bits can count."""
    length = tensor_length(dimension, degree)
    if length >= MAX_LENGTH:
        raise SizeError(
            f"the signature of dimension {dimension} and degree {degree} has more than 2**63 - 2 coefficients"
        )
    if dimension >= MAX_LENGTH:
        # Of degree 0 nothing is long, but loops take the dimension as a number of 64 bits.
        raise SizeError(f"dimension must be less than 2**63 - 1, got {dimension}")
    return length
