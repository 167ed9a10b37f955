"""asv imports this folder as a package; its modules find each other as they do when `compare.py` is run as a script."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
