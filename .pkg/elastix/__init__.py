"""Elastix: a hardware-software co-design compiler from PyTorch models to processors."""
