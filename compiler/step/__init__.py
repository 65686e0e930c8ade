"""From `elx` to the program of a step processor: emission, order, allocation, waiting, and the output folder."""
