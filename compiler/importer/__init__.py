"""Models come in here: Hugging Face folders, GGUF and ONNX files, torch modules; each ends as one torch function.

The importers load torch and transformers, which takes seconds: import them where they are used.
"""
