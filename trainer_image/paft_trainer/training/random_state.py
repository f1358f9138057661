"""States of the generators that training draws from (dropout), per rank."""

import torch
import torch.distributed as dist


def capture_random_state(device: torch.device) -> dict[str, torch.Tensor]:
    """This rank's generator states, uint8 on the CPU."""
    states = {"cpu": torch.get_rng_state()}
    if device.type == "cuda":
        states["cuda"] = torch.cuda.get_rng_state(device)
    return states


def restore_random_state(states: dict[int, dict[str, torch.Tensor]], *, seed: int) -> None:
    """Take over this rank's states; a rank that had none before starts from a seed of its own."""
    rank = dist.get_rank() if dist.is_initialized() else 0
    if rank not in states:
        torch.manual_seed(seed + rank)
        return
    torch.set_rng_state(states[rank]["cpu"])
    if "cuda" in states[rank] and torch.cuda.is_available():
        torch.cuda.set_rng_state(states[rank]["cuda"])
