"""The same functions under the name that code written for `pysiglib.torch_api` expects.

There is one implementation: a tensor that requires grad makes the result of any of these functions differentiable,
from here or from `siglib` itself.
"""

from .log_signature import clear_cache as clear_cache
from .log_signature import log_sig as log_sig
from .log_signature import log_sig_length as log_sig_length
from .log_signature import prepare_log_sig as prepare_log_sig
from .log_signature import set_cache_dir as set_cache_dir
from .log_signature import sig_to_log_sig as sig_to_log_sig
from .path import transform_path as transform_path
from .signature import sig as sig
from .signature import sig_combine as sig_combine
from .signature import sig_length as sig_length
from .signature import signature as signature
from .words import idx_to_word as idx_to_word
from .words import is_lyndon as is_lyndon
from .words import lyndon_words as lyndon_words
from .words import lyndon_words_of_length as lyndon_words_of_length
from .words import word_to_idx as word_to_idx
from .words import words as words
from .words import words_of_length as words_of_length
