"""What series become, point by point, as the docstring of `Series` says it: slow and obviously right."""

from typing import Any

import numpy as np


def filled(x: np.ndarray, gaps: str, times: np.ndarray) -> np.ndarray:
    """One channel."""
    seen = [k for k in range(len(x)) if not np.isnan(x[k])]
    out = x.copy()
    for k in range(len(x)):
        before, behind = [i for i in seen if i < k], [i for i in seen if i > k]
        if k in seen or not seen:
            continue
        if not before:
            out[k] = x[behind[0]]
        elif gaps == "forward" or not behind:
            out[k] = x[before[-1]]
        else:
            a, b = before[-1], behind[0]
            w = (times[k] - times[a]) / (times[b] - times[a]) if times[b] > times[a] else 0.0
            out[k] = (1 - w) * x[a] + w * x[b]
    return out


def prepared(
    points: np.ndarray,
    *,
    times: Any = None,
    gaps: str = "propagate",
    scale: Any = None,
    cumulative_sum: bool = False,
    base_point: Any = None,
    invisibility_reset: bool = False,
    interpolation: str = "linear",
    increments: bool = False,
    time_aug: bool = False,
    lead_lag: bool = False,
    end_time: float = 1.0,
) -> np.ndarray:
    """One path."""
    x, d = np.array(points, np.float64), points.shape[1]
    t = None if times is None else np.array(times, np.float64)
    if gaps in ("forward", "linear"):
        clock = np.arange(len(x)) if t is None else t[1:] if increments else t
        x = np.stack([filled(x[:, c], gaps, clock) for c in range(d)], 1)
    if gaps == "drop":
        kept = [k for k in range(len(x)) if not np.isnan(x[k]).any()]
        x, t = x[kept], None if t is None else t[kept]
    if scale is not None:
        x = x * scale
    if cumulative_sum:
        x = np.array([x[: k + 1].sum(0) for k in range(len(x))]).reshape(-1, d)
    base = np.zeros(d) if base_point is None or base_point is True else np.array(base_point, np.float64)
    if increments:
        x = np.array([base + x[:k].sum(0) for k in range(len(x) + 1)])
    elif base_point is not None:
        x = np.concatenate([base[None], x])
        t = None if t is None else np.concatenate([t[:1] if len(t) else [0.0], t])
    if invisibility_reset and len(x):
        x = np.concatenate([np.c_[x, np.ones(len(x))], [[*x[-1], 0.0]], [np.zeros(d + 1)]])
        t = None if t is None else np.concatenate([t, t[-1:], t[-1:]])
    elif invisibility_reset:
        x = np.zeros((0, d + 1))
    n = len(x)
    if interpolation == "rectilinear":
        t = (np.arange(n) * end_time / max(n - 1, 1)) if t is None else t
        rows = [(x[r // 2], t[(r + 1) // 2]) for r in range(2 * n - 1)]
        return np.array([[*value, time] for value, time in rows]).reshape(-1, x.shape[1] + 1)
    if lead_lag:
        rows = range(max(2 * n - 1, 0))
        t = None if t is None else np.array([(t[r // 2] + t[(r + 1) // 2]) / 2 for r in rows])
        x = np.array([[*x[r // 2], *x[(r + 1) // 2]] for r in rows]).reshape(-1, 2 * x.shape[1])
    if time_aug:
        t = np.arange(len(x)) * end_time / max(len(x) - 1, 1) if t is None else t
        x = np.c_[x, t]
    return x
