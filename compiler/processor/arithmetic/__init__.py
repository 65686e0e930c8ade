"""Arithmetic modules of the vector engine: fully pipelined, of fixed latency; see README.md."""
