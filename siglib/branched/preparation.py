"""Tables of trees made in advance."""

from typing import Any

from .._call.options import as_bool, as_int
from .._tables import tree_tables
from .._tables.sizes import augmented_dimension
from ..log_signatures.preparation import check_device
from .coefficients import prepare_trees
from .shapes import as_path_method, checked_length, checked_log_length
from .trees import Tree


def prepare_branched_sig(
    dimension: int,
    degree: int,
    *,
    use_disk: bool = False,
    time_aug: bool = False,
    lead_lag: bool = False,
    planar: bool = False,
    device: str = "both",
) -> None:
    """Build the tables of trees in advance.

    Never necessary: the first call that needs a table builds it, and it stays in memory, see `clear_cache`. Tables
    depend on dimension and degree only, and are shared by all threads.

    Parameters
    ----------
    dimension : int
        Number of channels of the paths, at least 1.
    degree : int
        Number of nodes of the largest trees, at least 0.
    use_disk : bool, default False
        Without effect: tables of trees are quickly built, and kept in memory only.
    time_aug, lead_lag : bool, default False
        Whether these transforms will be used.
    planar : bool, default False
        Whether the coefficients are those of planar forests.
    device : {"both", "cpu", "cuda"}
        Where the tables will be used. They are made on the host.

    Raises
    ------
    TypeError, ValueError
        For arguments of the wrong type or size.

    Examples
    --------
    >>> import siglib
    >>> siglib.prepare_branched_sig(2, 4)
    """
    _prepare_sig(*_cleaned(dimension, degree, use_disk, time_aug, lead_lag, planar, device))


def prepare_branched_log_sig(
    dimension: int,
    degree: int,
    method: int,
    *,
    use_disk: bool = False,
    time_aug: bool = False,
    lead_lag: bool = False,
    planar: bool = False,
    device: str = "both",
) -> None:
    """Build the tables of branched log-signatures in advance, and those of `prepare_branched_sig`.

    Parameters
    ----------
    dimension, degree, use_disk, time_aug, lead_lag, planar, device
        As in `prepare_branched_sig`.
    method : {0, 1, 2, 3}
        The method of `branched_log_sig` or `branched_sig_to_log_sig` to prepare for; only 0 if not `planar`. Method 3
        needs the tables of method 2.

    Raises
    ------
    TypeError, ValueError
        For arguments of the wrong type or size.

    Examples
    --------
    >>> import siglib
    >>> siglib.prepare_branched_log_sig(2, 4, 2, planar=True)
    """
    d, degree, planar = _cleaned(dimension, degree, use_disk, time_aug, lead_lag, planar, device)
    method = as_path_method(as_int("method", method, 0), planar)[1]
    checked_log_length(d, degree, planar, method)
    _prepare_sig(d, degree, planar)
    if method:
        for transposed in (False, True):
            for table in (tree_tables.log_word_matrix, tree_tables.coordinate_matrix, tree_tables.expansion_matrix):
                table(d, degree, method, "float64", transposed)


def prepare_branched_sig_coef(
    dimension: int,
    trees: Tree | None | list[Tree | None],
    *,
    use_disk: bool = False,
    time_aug: bool = False,
    lead_lag: bool = False,
    planar: bool = False,
    device: str = "both",
) -> None:
    """Build the tables of `branched_sig_coef` for these trees in advance.

    Parameters
    ----------
    dimension : int
        Number of channels of the paths, at least 1.
    trees : tree, None, or list of such
        As they will be given to `branched_sig_coef`.
    use_disk, time_aug, lead_lag, planar, device
        As in `prepare_branched_sig`.

    Raises
    ------
    TypeError, ValueError
        For arguments of the wrong type or size, and for trees that `branched_sig_coef` refuses.

    Examples
    --------
    >>> import siglib
    >>> siglib.prepare_branched_sig_coef(2, [((0,), 1), ((0,), (1,), 1)])
    """
    d, _, planar = _cleaned(dimension, 0, use_disk, time_aug, lead_lag, planar, device)
    prepare_trees(trees, d, planar)


def _cleaned(
    dimension: Any, degree: Any, use_disk: Any, time_aug: Any, lead_lag: Any, planar: Any, device: Any
) -> tuple[int, int, bool]:
    """(channels after transforms, degree, planar), when all options are right."""
    dimension, degree = as_int("dimension", dimension, 1), as_int("degree", degree, 0)
    as_bool("use_disk", use_disk)
    d = augmented_dimension(dimension, as_bool("time_aug", time_aug), as_bool("lead_lag", lead_lag))
    planar = as_bool("planar", planar)
    check_device(device)
    checked_length(d, degree, planar)
    return d, degree, planar


def _prepare_sig(dimension: int, degree: int, planar: bool) -> None:
    for transposed in (False, True):
        tree_tables.word_matrix(dimension, degree, planar, "float64", transposed)
    tree_tables.chain_matrix(dimension, degree, planar, "float64")
    tree_tables.cut_tables(dimension, degree, planar, "float64")
