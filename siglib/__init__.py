"""Path signatures, log-signatures and signature kernels for NumPy, PyTorch and CuPy arrays."""

from ._config import __version__ as __version__
from ._config import show_config as show_config
from .path import transform_path as transform_path
from .path import transform_path_backprop as transform_path_backprop
from .signature import sig as sig
from .signature import sig_backprop as sig_backprop
from .signature import sig_combine as sig_combine
from .signature import sig_combine_backprop as sig_combine_backprop
from .signature import sig_length as sig_length
from .signature import signature as signature
from .words import idx_to_word as idx_to_word
from .words import is_lyndon as is_lyndon
from .words import lyndon_words as lyndon_words
from .words import lyndon_words_of_length as lyndon_words_of_length
from .words import word_to_idx as word_to_idx
from .words import words as words
from .words import words_of_length as words_of_length
