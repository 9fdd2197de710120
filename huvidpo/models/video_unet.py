"""The video UNet: diffusers' image UNet with time; knows latents and text embeddings, nothing of sampling or loss."""

import torch
from diffusers import ModelMixin, UNet2DConditionModel  # noqa: F401 - a pipeline's from_pretrained looks for it here
from diffusers.configuration_utils import register_to_config
from diffusers.models.resnet import Downsample2D, ResnetBlock2D, Upsample2D
from diffusers.models.transformers.transformer_2d import Transformer2DModel
from diffusers.models.unets.unet_2d_condition import UNet2DConditionOutput
from einops import rearrange
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from huvidpo.models.attention import ClipShape, TextAttention, self_attention
from huvidpo.models.motion import FrameSharedGroupNorm, MotionConv2d, MotionTransformerBlock


class VideoUNet(UNet2DConditionModel):
    """Stable Diffusion 1.x's UNet inflated over time as in LAMP (arXiv 2310.10769) and HuViDPO (arXiv 2502.01690).

    Parameters keep the names of the image UNet, so an SD 1.x folder loads with `from_pretrained`; the temporal parts
    that such a file lacks start as an exact identity.
    """

    _no_split_modules = ("MotionTransformerBlock", "ResnetBlock2D", "CrossAttnUpBlock2D", "UpBlock2D")
    _repeated_blocks = ("MotionTransformerBlock",)

    # diffusers registers every named argument; only a catch-all called `kwargs` is left for the parent to register.
    @register_to_config
    def __init__(self, attention: str = "first-previous", **kwargs):
        """`kwargs` are the settings of UNet2DConditionModel; `attention` is one of `ATTENTION_VARIANTS`."""
        super().__init__(**kwargs)
        self.clip = ClipShape()
        self._inflate()
        self.set_attention(attention)

    @staticmethod
    def _get_init_keys(input_class: type) -> set[str]:
        """The settings that `from_config` accepts; diffusers reads them off a signature, ours hides the parent's."""
        keys = UNet2DConditionModel._get_init_keys(input_class)
        if input_class is VideoUNet:
            keys |= UNet2DConditionModel._get_init_keys(UNet2DConditionModel)
        return keys

    def _inflate(self) -> None:
        for module in list(self.modules()):
            if isinstance(module, ResnetBlock2D):
                module.norm1 = FrameSharedGroupNorm(module.norm1, self.clip)
                module.norm2 = FrameSharedGroupNorm(module.norm2, self.clip)
                module.conv1 = MotionConv2d(module.conv1, self.clip)
                module.conv2 = MotionConv2d(module.conv2, self.clip)
                if module.conv_shortcut is not None:
                    module.conv_shortcut = MotionConv2d(module.conv_shortcut, self.clip)
            elif isinstance(module, (Downsample2D, Upsample2D)):
                module.conv = MotionConv2d(module.conv, self.clip)
            elif isinstance(module, Transformer2DModel):
                blocks = [MotionTransformerBlock(block, self.clip) for block in module.transformer_blocks]
                module.transformer_blocks = nn.ModuleList(blocks)
        self.conv_in = MotionConv2d(self.conv_in, self.clip)
        self.conv_norm_out = FrameSharedGroupNorm(self.conv_norm_out, self.clip)
        self.conv_out = MotionConv2d(self.conv_out, self.clip)

    @classmethod
    def from_unet2d(cls, unet2d: UNet2DConditionModel, attention: str = "first-previous") -> "VideoUNet":
        """A video UNet with copies of the weights of `unet2d`, on its device, in its dtype; it does not move yet."""
        unet = cls.from_config(unet2d.config, attention=attention)
        unet.load_state_dict(unet2d.state_dict(), strict=False)
        nn.Module.to(unet, device=unet2d.device, dtype=unet2d.dtype)  # ModelMixin.to warns about an empty list
        return unet.train(unet2d.training)

    def set_attention(self, attention: str) -> None:
        """Chooses what `attn1` reads, one of `ATTENTION_VARIANTS`; the weights are the same for all of them."""
        to_itself, to_text = self_attention(attention, self.clip), TextAttention(self.clip)
        for block in self.modules():
            if isinstance(block, MotionTransformerBlock):
                block.attn1.set_processor(to_itself)
                block.attn2.set_processor(to_text)
        self.register_to_config(attention=attention)

    def forward(
        self, sample: Tensor, timestep: Tensor | float, encoder_hidden_states: Tensor, return_dict: bool = True
    ) -> UNet2DConditionOutput | tuple[Tensor]:
        """Predicts the noise: (b c f h w), timestep () or (b,), text (b n d) -> (b c f h w)."""
        if sample.ndim != 5 or encoder_hidden_states.shape[0] != sample.shape[0]:
            raise ValueError(
                "VideoUNet takes a sample (b c f h w) and one text per clip (b n d), "
                f"not {tuple(sample.shape)} and {tuple(encoder_hidden_states.shape)}."
            )
        batch, _, self.clip.frames, _, _ = sample.shape
        timestep = torch.as_tensor(timestep, device=sample.device).expand(batch)
        frames = super().forward(
            rearrange(sample, "b c f h w -> (b f) c h w"),
            timestep.repeat_interleave(self.clip.frames),
            encoder_hidden_states,
            return_dict=False,
        )[0]
        clips = rearrange(frames, "(b f) c h w -> b c f h w", b=batch)
        return UNet2DConditionOutput(sample=clips) if return_dict else (clips,)

    def enable_gradient_checkpointing(self, levels: int | None = None) -> None:
        """Recomputes activations in the backward pass, with the number of frames that the forward pass had.

        Of the first `levels` resolutions on the way down and their counterparts on the way up, or of all blocks.
        """

        def checkpoint_clip(module: nn.Module, *inputs):
            frames = self.clip.frames

            def run(*inputs):
                self.clip.frames = frames  # another forward may have come before this one's backward
                return module(*inputs)

            return checkpoint(run, *inputs, use_reentrant=False)

        super().enable_gradient_checkpointing(checkpoint_clip)
        if levels is not None:
            others = (*self.down_blocks[levels:], self.mid_block, *self.up_blocks[: len(self.up_blocks) - levels])
            for block in others:
                for module in block.modules():
                    if hasattr(module, "gradient_checkpointing"):
                        module.gradient_checkpointing = False

    def _fix_state_dict_keys_on_load(self, state_dict: dict[str, Tensor]) -> None:
        """Adds the identity for temporal parts that a file lacks; diffusers calls this between reading and assigning.

        Assigning is too late: `from_pretrained` builds the model without memory, and a missing key would stay so.
        """
        super()._fix_state_dict_keys_on_load(state_dict)
        if self.state_dict().keys() <= state_dict.keys():
            return
        for name, module in self.named_modules():
            if isinstance(module, MotionConv2d | MotionTransformerBlock):
                for key, value in module.new_temporal_parts().state_dict().items():
                    state_dict.setdefault(f"{name}.{key}", value)
