"""Text to token ids and back, from the files that a compiled model carries; needs neither torch nor transformers."""

import json
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, cast

from jinja2.sandbox import ImmutableSandboxedEnvironment
from tokenizers import Tokenizer

from elastix.compiler.errors import ElastixError

FILES = ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja")


@dataclass(frozen=True)
class TextCodec:
    """A tokenizer with its chat template, both as Hugging Face stores them."""

    tokenizer: Tokenizer
    config: dict[str, Any]
    chat_template: str | None

    @property
    def end_of_text(self) -> frozenset[int]:
        """Ids that end an answer."""
        end = self._id("eos_token")
        return frozenset(() if end is None else (end,))

    @property
    def begin_of_text(self) -> int | None:
        """The id that begins a text, if there is one."""
        return self._id("bos_token")

    def encode(self, prompt: str, *, raw: bool = False) -> list[int]:
        """Ids of a prompt: in the model's chat template if it has one (unless `raw`), else with its start token."""
        if self.chat_template is not None and not raw:
            return self.ids(self._chat(prompt))
        ids, start = self.ids(prompt) if prompt else [], self.begin_of_text
        wants_start = self.config.get("add_bos_token", False) or not ids
        return [start, *ids] if start is not None and wants_start and ids[:1] != [start] else ids

    def decode(self, ids: list[int]) -> str:
        """Text of ids, special tokens left out."""
        return self.tokenizer.decode(ids, skip_special_tokens=True)

    def ids(self, text: str) -> list[int]:
        """Ids of a text and nothing else."""
        return self.tokenizer.encode(text, add_special_tokens=False).ids

    def _id(self, name: str) -> int | None:
        token = self._token(name)
        return None if token is None else self.tokenizer.token_to_id(token)

    def _token(self, name: str) -> str | None:
        token = self.config.get(name)
        return cast(dict[str, str], token)["content"] if isinstance(token, dict) else token

    def _chat(self, prompt: str) -> str:
        environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
        template = environment.from_string(self.chat_template or "", globals={"strftime_now": date.today().strftime})
        names = {name: self._token(name) for name in ("bos_token", "eos_token", "unk_token", "pad_token")}
        return template.render(messages=[{"role": "user", "content": prompt}], add_generation_prompt=True, **names)


def load(folder: Path) -> TextCodec:
    """The tokenizer of a folder; raises ElastixError if its files are missing or unreadable."""
    path = folder / "tokenizer.json"
    if not path.exists():
        raise ElastixError(
            f"no tokenizer.json in {folder}",
            wanted="a Hugging Face tokenizer beside the model",
            do="give token ids with --ids instead of --prompt",
        )
    try:
        tokenizer = Tokenizer.from_file(str(path))
        config_path = folder / "tokenizer_config.json"
        config: dict[str, Any] = json.loads(config_path.read_text()) if config_path.exists() else {}
    except Exception as error:  # the library raises bare Exception on a bad file
        raise ElastixError(f"{path} is not a tokenizer: {error}", do="compile the model again") from error
    template_path = folder / "chat_template.jinja"
    if template_path.exists():
        return TextCodec(tokenizer, config, template_path.read_text())
    return TextCodec(tokenizer, config, config.get("chat_template"))


def save(model: Path, folder: Path) -> None:
    """Copy a model's tokenizer, if it has one, into `folder`, out of its own files or its GGUF file."""
    if model.is_dir():
        found = [name for name in FILES if (model / name).exists()]
        if found:
            folder.mkdir(parents=True, exist_ok=True)
        for name in found:
            (folder / name).write_bytes((model / name).read_bytes())
        return
    import transformers  # seconds to import; only GGUF files need it

    tokenizers: Any = transformers.AutoTokenizer
    tokenizer = tokenizers.from_pretrained(str(model.parent), gguf_file=model.name)
    tokenizer.save_pretrained(str(folder))
