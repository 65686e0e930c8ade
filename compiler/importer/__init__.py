"""Models come in here: Hugging Face folders, GGUF files, ONNX files, torch modules; all end as one torch-dialect function.

The importers load torch and transformers, which takes seconds: import them where they are used.
"""
