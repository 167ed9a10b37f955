"""The same functions under the name that code written for `pysiglib.torch_api` expects.

There is one implementation: a tensor that requires grad makes the result of any of these functions differentiable, from here or from
`siglib` itself.
"""

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
