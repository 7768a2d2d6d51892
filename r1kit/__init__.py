"""r1kit: turn a base language model into a reasoning model by the DeepSeek-R1 recipe."""

import os

# NumPy's products are of few rows here (model/few.py): a second thread would only be in the way.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

__version__ = "0.1.0"
