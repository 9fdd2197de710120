"""Which blocks recompute their activations: as many as must, with the same gradient."""

from collections import Counter

import pytest
import torch

from huvidpo.models.precision import check_can_learn_motion
from huvidpo.models.video_unet import VideoUNet
from huvidpo.training import gradient_checkpointing
from huvidpo.training.gradient_checkpointing import levels_needed, recompute_as_needed

SIZE = {"sample_size": 8, "block_out_channels": (8, 16, 16), "layers_per_block": 1, "norm_num_groups": 4}
SIZE |= {"cross_attention_dim": 8, "attention_head_dim": 2}
SIZE |= {"down_block_types": ("CrossAttnDownBlock2D",) * 3, "up_block_types": ("CrossAttnUpBlock2D",) * 3}


@pytest.mark.parametrize(
    "free, clips, levels",
    [(80, 1, 0), (22.2, 1, 0), (19.2, 1, 1), (8, 1, 2), (5, 1, None), (1, 1, None), (80, 2, 0), (22.7, 2, 2)],
)
def test_no_more_recompute_than_memory_asks_for(free: float, clips: int, levels: int | None) -> None:
    """One clip takes 16.7, 9.8 or 5.7 GB with 0, 1 or 2 levels that recompute, 15 % on top and 1 GB beside."""
    assert levels_needed(free, clips) == levels


def gradient(unet: VideoUNet) -> tuple[torch.Tensor, Counter]:
    """The gradient of a sum of outputs, and how often each kind of block ran forwards."""
    ran: Counter = Counter()
    parts = {"down": unet.down_blocks, "up": unet.up_blocks, "mid": [unet.mid_block]}
    hooks = [
        block.resnets[-1].norm1.register_forward_hook(lambda *_, name=f"{part} {i}": ran.update([name]))
        for part, blocks in parts.items()
        for i, block in enumerate(blocks)
    ]
    unet.zero_grad()
    generator = torch.Generator().manual_seed(0)
    latents, text = torch.randn(1, 4, 3, 8, 8, generator=generator), torch.randn(1, 5, 8, generator=generator)
    unet(latents, 7, text).sample.square().sum().backward()
    for hook in hooks:
        hook.remove()
    return unet.conv_in.weight.grad.clone(), ran


def test_the_outer_levels_recompute_and_the_gradient_stays() -> None:
    torch.manual_seed(0)
    unet = VideoUNet(**SIZE).train()
    plain, once = gradient(unet)
    assert set(once.values()) == {1}
    for levels, twice in ((0, set()), (1, {"down 0", "up 2"}), (None, set(once))):
        unet.enable_gradient_checkpointing(levels)
        found, ran = gradient(unet)
        torch.testing.assert_close(found, plain)
        assert {name for name, times in ran.items() if times == 2} == twice
        unet.disable_gradient_checkpointing()


def test_a_small_network_or_a_cpu_recomputes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """`pocket` has a fifth of the width and a hundredth of the positions; 2 GB are enough for 8 clips of it."""
    asked = []
    unet = VideoUNet(**SIZE)
    monkeypatch.setattr(VideoUNet, "enable_gradient_checkpointing", lambda unet, levels: asked.append(levels))
    recompute_as_needed(unet, 1, 16, 40, 64, 0.0)
    assert asked == [], "a CPU"
    monkeypatch.setattr(VideoUNet, "device", torch.device("cuda"))
    monkeypatch.setattr(gradient_checkpointing, "free_gigabytes", lambda: 2.0)
    recompute_as_needed(unet, 8, 16, 16, 16, 0.0)
    recompute_as_needed(unet, 20, 16, 40, 64, 0.0)
    assert asked == [0, None]


def test_a_card_without_bfloat16_learns_no_motion(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where it is emulated: attention in it would write out its scores."""

    class OnAGpu(torch.nn.Linear):
        def parameters(self, recurse: bool = True):
            return iter([torch.empty(1, dtype=self.weight.dtype).as_subclass(CudaTensor)])

    class CudaTensor(torch.Tensor):
        device = torch.device("cuda")

    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: False)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "Tesla T4")
    with pytest.raises(ValueError, match="Tesla T4 makes clips with this backbone and cannot learn motion"):
        check_can_learn_motion(OnAGpu(1, 1).half())
    check_can_learn_motion(OnAGpu(1, 1))
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: True)
    check_can_learn_motion(OnAGpu(1, 1).half())
