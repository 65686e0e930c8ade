"""Models come in here: Hugging Face folders, GGUF and ONNX files, torch modules; each ends as one torch function.

The importers load torch and transformers, which takes seconds: import them where they are used.
Both are largely untyped, so the files that read their objects let pyright not know those types.
"""
