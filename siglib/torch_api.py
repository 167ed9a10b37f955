"""The same functions under the name that code written for `pysiglib.torch_api` expects.

There is one implementation: a tensor that requires grad makes the result of any of these functions differentiable, from here or from
`siglib` itself.
"""

from .signature import sig as sig
from .signature import sig_combine as sig_combine
from .signature import sig_length as sig_length
from .signature import signature as signature
