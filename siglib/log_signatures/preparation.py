"""Tables: those of Lyndon words made in advance and kept on disk, and all of them dropped."""

from pathlib import Path
from typing import Any

from .._call.options import as_bool, as_int
from .._tables import lyndon_cache
from .._tables.sizes import augmented_dimension
from .parts import as_path_method, log_length


def check_device(device: Any) -> None:
    if not isinstance(device, str):
        raise TypeError(f"device must be a string, got {type(device).__name__}")
    if device not in ("cpu", "cuda", "both"):
        raise ValueError(f'device must be "cpu", "cuda" or "both", got {device!r}')


def prepare_log_sig(
    dimension: int,
    degree: int,
    method: int,
    *,
    time_aug: bool = False,
    lead_lag: bool = False,
    use_disk: bool = False,
    device: str = "both",
) -> None:
    """Build the tables of Lyndon words and brackets in advance.

    Never necessary: the first call that needs the tables builds them, and they stay in memory, see `clear_cache`. They
    depend on dimension and degree only and are shared by all threads, dtypes and devices.

    Parameters
    ----------
    dimension : int
        Number of channels of the paths, at least 1.
    degree : int
        Truncation level, at least 0.
    method : {0, 1, 2, 3}
        The method of `log_sig` or `sig_to_log_sig` to prepare for. Method 0 needs no tables,
        method 3 those of method 2.
    time_aug, lead_lag : bool, default False
        Whether these transforms will be used.
    use_disk : bool, default False
        Read the tables from files, see `set_cache_dir`, or write them there if they are missing or damaged, which a
        digest tells. Any number of processes may do so. Without it no file is touched.
    device : {"both", "cpu", "cuda"}
        Where the tables will be used. They are made on the host, and copied to a GPU by the first call there.

    Raises
    ------
    TypeError, ValueError
        For arguments of the wrong type or size.
    OSError
        If `use_disk` is True and the files cannot be written.

    Examples
    --------
    >>> import siglib
    >>> siglib.prepare_log_sig(3, 5, 2)
    """
    dimension = as_int("dimension", dimension, 1)
    degree = as_int("degree", degree, 0)
    method = as_path_method(method)
    dimension = augmented_dimension(dimension, as_bool("time_aug", time_aug), as_bool("lead_lag", lead_lag))
    use_disk = as_bool("use_disk", use_disk)
    check_device(device)
    log_length(dimension, degree, method, False)
    lyndon_cache.prepare(dimension, degree, method, use_disk, levels=device != "cpu")


def set_cache_dir(dir: str | Path) -> None:
    """Choose where `prepare_log_sig(..., use_disk=True)` keeps its files: in the folder ``siglib`` of this directory.

    Without it this is the user's directory for caches: ``$XDG_CACHE_HOME`` or ``~/.cache``, ``~/Library/Caches`` on
    macOS and ``%LOCALAPPDATA%`` on Windows.

    Parameters
    ----------
    dir : str or pathlib.Path
        An existing directory. Nothing is created in it before something is stored.

    Raises
    ------
    TypeError
        If `dir` is no path.
    ValueError
        If it is not an existing directory.

    Examples
    --------
    >>> import siglib, tempfile
    >>> with tempfile.TemporaryDirectory() as directory:
    ...     siglib.set_cache_dir(directory)
    ...     siglib.prepare_log_sig(2, 4, 2, use_disk=True)
    ...     siglib.clear_cache(use_disk=True)
    """
    if not isinstance(dir, (str, Path)):
        raise TypeError(f"dir must be a string or a pathlib.Path, got {type(dir).__name__}")
    lyndon_cache.set_directory(Path(dir))


def clear_cache(*, use_disk: bool = False, device: str = "both") -> None:
    """Drop all tables that are kept in memory: of Lyndon words, and of the words of `sig_coef` and other functions.

    Never necessary: what needs them builds them again, and no more than 1 GiB of Lyndon tables and 256 MiB of others
    are kept (and 1 GiB of copies on GPUs); beyond that, those go that were not used of late.

    Parameters
    ----------
    use_disk : bool, default False
        Remove the files of `prepare_log_sig(..., use_disk=True)`, too, and what processes left behind that ended
        while they wrote some. Others may read and write them meanwhile.
    device : {"both", "cpu", "cuda"}
        Where tables are used that are to be dropped. Those on a GPU are copies of those on the host, and all of them
        go, whichever is named.

    Raises
    ------
    TypeError, ValueError
        For arguments of the wrong type or value.

    Examples
    --------
    >>> import siglib
    >>> siglib.clear_cache()
    """
    use_disk = as_bool("use_disk", use_disk)
    check_device(device)
    lyndon_cache.clear(use_disk)
