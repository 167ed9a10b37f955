"""Time of float32 paths, `time_aug`: increments that add up without rounding, and the words of time alone.

A rounded step, added up a million times, is off by the millionfold of its error, and each sum is rounded, too. So times
are rounded to a grid, whose multiples up to the end float32 holds: differences add up to the end in every order. Their
products do not; but words of time alone are known, T^n / n!, and trees of time alone are sums of them. float64 is exact
enough without either.
"""

import math

# So few increments do not add up to an error that is worth setting the words of time alone.
_FEW_ROWS = 32
_LARGEST = (2 - 2**-23) * 2.0**127


def time_grid(end_time: float) -> float:
    """What, added to a time and taken off again, rounds it; as in `_cpu/increments.pxd`."""
    fraction, exponent = math.frexp(end_time)
    if abs(fraction) == 0.5:
        exponent -= 1  # a power of two
    return math.ldexp(1.5, 52 + max(exponent - 24, -149)) if exponent < 990 else 0.0


def sets_time_words(time_aug: bool, itemsize: int, n_rows: int) -> bool:
    """Whether words of time alone are set instead of added up, in signatures of so many increments."""
    return time_aug and itemsize == 4 and n_rows > _FEW_ROWS


def time_powers(duration: float, degree: int) -> list[float]:
    """T^n / n!, n = 0..degree; infinite where that is too large for float32."""
    powers = [1.0]
    for n in range(1, degree + 1):
        powers.append(powers[-1] * (duration / n))
    return [power if abs(power) <= _LARGEST else math.copysign(math.inf, power) for power in powers]
