"""The step processor: a whole decode step of a language model on generated hardware; see README.md."""
