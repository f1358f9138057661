"""Conversion against torch's own, for every pair of dtypes and bytes that come in any cut."""

import pytest
import torch

from paft_trainer.training.base_loading import fill
from paft_trainer.training.base_loading.fill import DTYPES, Destination, Filler

CPU = torch.device("cpu")
FLOATS = ("F64", "F32", "F16", "BF16")


def bytes_of(tensor: torch.Tensor) -> memoryview:
    return memoryview(tensor.contiguous().view(torch.uint8).numpy().tobytes())


@pytest.mark.parametrize("word", FLOATS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_values_are_rounded_as_torch_does(word: str, dtype: torch.dtype) -> None:
    bits = torch.arange(2**16, dtype=torch.int32).to(torch.int16).view(torch.bfloat16)
    tensor = torch.cat([bits.float(), torch.randn(1000) * 1e-6, bits.float() * (1 + 2**-9)]).to(DTYPES[word])
    target = torch.empty(len(tensor), dtype=dtype)
    Filler(CPU).fill(Destination(values=target, start=0, stop=tensor.nbytes, dtype=tensor.dtype), 0, bytes_of(tensor))
    expected = tensor.to(dtype)
    assert torch.equal(target.isnan(), expected.isnan())
    assert torch.equal(target.nan_to_num(1.5).view(torch.uint8), expected.nan_to_num(1.5).view(torch.uint8))


def test_only_what_is_held_is_taken_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fill, "STAGED_BYTES", 12)
    tensor = torch.arange(100, dtype=torch.float32)
    content = bytes_of(tensor)
    target = torch.full((30,), -1.0)
    destination = Destination(values=target, start=4 * 40, stop=4 * 65, dtype=torch.float32)
    filler = Filler(CPU)
    for start, stop in ((0, 48), (48, 120), (120, 300), (300, 400)):
        filler.fill(destination, start, content[start:stop])
    assert torch.equal(target[:25], tensor[40:65])
    assert (target[25:] == -1).all()


def test_every_dtype_of_a_file_is_known() -> None:
    from paft_trainer.safetensors_files import DTYPE_BYTES

    assert {word: dtype.itemsize for word, dtype in DTYPES.items()} == DTYPE_BYTES
