"""Path signatures, log-signatures and signature kernels for NumPy, PyTorch and CuPy arrays."""

from ._config import __version__ as __version__
from ._config import show_config as show_config
from .signature import sig as sig
from .signature import sig_backprop as sig_backprop
from .signature import sig_combine as sig_combine
from .signature import sig_combine_backprop as sig_combine_backprop
from .signature import sig_length as sig_length
from .signature import signature as signature
