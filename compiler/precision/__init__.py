"""Which precision every layer gets, and how its weights are rounded: measured on text, decided by an exact program."""
