import pytest
import torch
import torch.nn.functional as F
from diffusers.models.attention_processor import Attention, AttnProcessor2_0

from huvidpo.models.attention import (
    ClipShape,
    FirstFrameAttention,
    FirstPreviousFrameAttention,
    PictureAttention,
    TemporalAttention,
    TextAttention,
    first_and_previous_frame,
    scaled_dot_product,
    self_attention,
)

BATCH, FRAMES, TOKENS, DIM = 2, 5, 6, 8


@pytest.fixture
def attn() -> Attention:
    torch.manual_seed(0)
    return Attention(DIM, heads=2, dim_head=4).eval()


@pytest.fixture
def clips() -> torch.Tensor:
    return torch.randn(BATCH, FRAMES, TOKENS, DIM, generator=torch.Generator().manual_seed(1))


def run(attn: Attention, processor, clips: torch.Tensor) -> torch.Tensor:
    attn.set_processor(processor)
    with torch.no_grad():
        return attn(clips.flatten(0, 1)).unflatten(0, clips.shape[:2])


def test_the_gather_by_hand():
    """One token per frame, valued 0 1 2 3: frame i reads (0, i - 1), and frame 0 reads itself twice."""
    tokens = torch.arange(4.0).view(4, 1, 1)
    assert first_and_previous_frame(tokens, frames=4).flatten(1).tolist() == [[0, 0], [0, 0], [0, 1], [0, 2]]


@pytest.mark.parametrize(
    ("processor", "reads"),
    [(FirstPreviousFrameAttention, lambda i: {0, max(i - 1, 0), i}), (FirstFrameAttention, lambda i: {0, i})],
)
def test_frames_that_influence_a_frame(attn, clips, processor, reads):
    """Frame i's own queries, and the keys the variant allows; nothing else, and nothing of the other clip."""
    before = run(attn, processor(ClipShape(FRAMES)), clips)
    for changed in range(FRAMES):
        other = clips.clone()
        other[0, changed] += 1
        moved = (run(attn, processor(ClipShape(FRAMES)), other) - before).abs().amax(dim=(2, 3)) > 1e-6
        assert [bool(m) for m in moved[0]] == [changed in reads(i) for i in range(FRAMES)]
        assert not moved[1].any()


def test_first_previous_equals_ordinary_attention_over_the_two_frames(attn, clips):
    """diffusers' own processor, given the two frames as the text, is the independent implementation."""
    ours = run(attn, FirstPreviousFrameAttention(ClipShape(FRAMES)), clips)
    attn.set_processor(AttnProcessor2_0())
    for i in range(FRAMES):
        seen = torch.cat([clips[:, 0], clips[:, max(i - 1, 0)]], dim=1)
        torch.testing.assert_close(ours[:, i], attn(clips[:, i], encoder_hidden_states=seen))


def test_first_equals_ordinary_attention_over_the_first_frame(attn, clips):
    ours = run(attn, FirstFrameAttention(ClipShape(FRAMES)), clips)
    attn.set_processor(AttnProcessor2_0())
    for i in range(FRAMES):
        torch.testing.assert_close(ours[:, i], attn(clips[:, i], encoder_hidden_states=clips[:, 0]))


def test_attention_within_pictures_is_diffusers_own_with_its_gradients(attn, clips):
    """Among a picture's own tokens, then over those of a text of another length."""
    pictures = clips.flatten(0, 1)
    for text in (None, pictures[:, :4].clone()):
        results = []
        for processor in (PictureAttention(), AttnProcessor2_0()):
            attn.set_processor(processor)
            attn.zero_grad()
            shown = attn(pictures, encoder_hidden_states=text)
            shown.square().sum().backward()
            results.append([shown, *(parameter.grad.clone() for parameter in attn.parameters())])
        for ours, theirs in zip(*results, strict=True):
            torch.testing.assert_close(ours, theirs)


def test_text_attention_equals_repeating_the_text(clips):
    attn = Attention(DIM, cross_attention_dim=3, heads=2, dim_head=4, processor=AttnProcessor2_0()).eval()
    text = torch.randn(BATCH, 7, 3)
    repeated = attn(clips.flatten(0, 1), encoder_hidden_states=text.repeat_interleave(FRAMES, dim=0))
    attn.set_processor(TextAttention(ClipShape(FRAMES)))
    torch.testing.assert_close(attn(clips.flatten(0, 1), encoder_hidden_states=text), repeated)


def test_temporal_attention_equals_ordinary_attention_over_time_at_each_position(attn, clips):
    ours = run(attn, TemporalAttention(ClipShape(FRAMES)), clips)
    attn.set_processor(AttnProcessor2_0())
    for position in range(TOKENS):
        torch.testing.assert_close(ours[:, :, position], attn(clips[:, :, position]))


def test_the_text_is_projected_once_per_clip_and_the_first_frame_alone_gives_keys(attn, clips):
    """The point of the two processors: to_k sees 2 texts or 2 first frames, not 10 frames."""
    seen = []
    attn.to_k.register_forward_hook(lambda module, args, output: seen.append(args[0].shape[0]))
    run(attn, FirstFrameAttention(ClipShape(FRAMES)), clips)
    attn.set_processor(TextAttention(ClipShape(FRAMES)))
    attn(clips.flatten(0, 1), encoder_hidden_states=torch.randn(BATCH, 7, DIM))
    assert seen == [BATCH, BATCH]


def test_half_precision_on_a_cpu_gives_what_single_precision_gives():
    """Values and gradients, of more scores (3 x 2 x 512 x 512) than are computed at once (two of the three)."""
    generator = torch.Generator().manual_seed(3)
    exact = [torch.randn(3, 2, 512, 4, generator=generator).bfloat16().float().requires_grad_() for _ in range(3)]
    rounded = [tensor.detach().bfloat16().requires_grad_() for tensor in exact]
    weights = torch.randn(3, 2, 512, 4, generator=generator)
    (F.scaled_dot_product_attention(*exact, scale=0.7) * weights).sum().backward()
    out = scaled_dot_product(*rounded, scale=0.7)
    assert out.dtype == torch.bfloat16
    (out.float() * weights).sum().backward()
    torch.testing.assert_close(out.float(), F.scaled_dot_product_attention(*exact, scale=0.7), atol=0.02, rtol=0.02)
    for ours, theirs in zip(rounded, exact, strict=True):
        error = (ours.grad.float() - theirs.grad).norm() / theirs.grad.norm()
        assert error < 0.02


def test_unknown_variant_is_named():
    with pytest.raises(ValueError, match="'all'"):
        self_attention("all", ClipShape())
