"""Make the tests import the installed package.

`python -m pytest` puts the checkout first on `sys.path`, and there `_acontextlib` is the sources, without their
extension module.  Where nothing is installed the checkout stays, for those who build in place.
"""

import importlib.util
import os
import sys


def _is_checkout(entry):
    return os.path.realpath(entry or os.curdir) == os.path.dirname(os.path.realpath(__file__))


_before = list(sys.path)
sys.path[:] = [entry for entry in sys.path if not _is_checkout(entry)]
if importlib.util.find_spec("_acontextlib") is None:
    sys.path[:] = _before
