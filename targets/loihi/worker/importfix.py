"""Makes lava-nc 0.10.0 importable on Python 3.11 and newer; import it before lava.

Python 3.11 refuses a dataclass whose default value cannot be hashed. Lava has one such default, a ByteEncoder; made hashable while its
module is imported, it is accepted, and nothing else changes.
"""

import dataclasses
import importlib
import sys

MODULE, CLASS = "lava.magma.compiler.var_model", "ByteEncoder"


def install():
    """Import Lava's module with that one class hashable."""
    if sys.version_info < (3, 11) or MODULE in sys.modules:
        return
    plain = dataclasses.dataclass

    def hashable(cls=None, /, **options):
        def decorate(c):
            more = {"unsafe_hash": True} if (c.__module__, c.__name__) == (MODULE, CLASS) else {}
            return plain(c, **{**options, **more})

        return decorate if cls is None else decorate(cls)

    dataclasses.dataclass = hashable
    try:
        importlib.import_module(MODULE)
    finally:
        dataclasses.dataclass = plain


install()
