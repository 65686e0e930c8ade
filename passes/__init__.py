"""The passes, a folder a stage, in running order; how to write one: TUTORIAL.md."""

from typing import Final

STAGES: Final = ("s1_clean", "s2_fuse", "s3_precision", "s4_partition", "s5_lower", "s6_hardware", "s7_host")
"""In running order."""
