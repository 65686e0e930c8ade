"""The project's dialects, each declared in its own folder."""

from elastix.dialects.elx import Elx
from elastix.dialects.epu import Epu
from elastix.dialects.host import Host

DIALECTS = (Elx, Epu, Host)
"""What a new context loads."""
