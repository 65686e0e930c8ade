"""The dialect object that `elx`'s attribute and ops belong to."""

from elastix.compiler.ir import Dialect


class Elx(Dialect, name="elx"):
    """What is computed, and at which precision."""
