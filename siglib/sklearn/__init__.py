"""Estimators of scikit-learn: series of any lengths to features with names, and to kernels.

scikit-learn is imported here only: `import siglib.sklearn` needs it, `import siglib` does not.
"""

from ._features import LogSignatureTransformer as LogSignatureTransformer
from ._features import SignatureTransformer as SignatureTransformer
from ._gaussian_process import SignatureKernel as SignatureKernel
from ._kernels import SignatureKernelTransformer as SignatureKernelTransformer
from ._kernels import SignatureNystroem as SignatureNystroem
from ._random_features import RandomSignatureFeatures as RandomSignatureFeatures
from ._series import as_series as as_series
