"""diffusers' AutoencoderKL with whole patches as its pixels, and a start from principal components. Knows no files."""

import torch
from diffusers import AutoencoderKL, ModelMixin  # noqa: F401 - a pipeline's from_pretrained looks for it in this module
from diffusers.configuration_utils import register_to_config
from torch import Tensor, nn

# While the network is still linear, two channels of each group hold +CONSTANT and -CONSTANT, so that group
# normalisation divides by (nearly) the same number everywhere and leaves brightness and contrast alone.
CONSTANT = 8.0
DATA_STD = 0.3  # of the other channels
SILU_BIAS = 6.0  # SiLU(6 + x) is 6 + x to 0.02 for the |x| < 2 that mostly occur


class PatchAutoencoderKL(AutoencoderKL):
    """An AutoencoderKL that reads and writes patches of `patch` x `patch` pixels by one strided convolution each.

    All its layers work at the size of the latents, which makes it fast on a CPU. The convolutions reach half a patch
    over each border, so that neighbours can agree there and no grid is seen. Encode, decode, slicing and saving are
    the parent's.
    """

    @register_to_config
    def __init__(self, patch: int = 8, width: int = 192, latent_channels: int = 16, scaling_factor: float = 1.0):
        super().__init__(
            block_out_channels=(width,),
            down_block_types=("DownEncoderBlock2D",),
            up_block_types=("UpDecoderBlock2D",),
            layers_per_block=1,
            latent_channels=latent_channels,
            norm_num_groups=8,
            mid_block_add_attention=False,
            scaling_factor=scaling_factor,
        )
        self.encoder.conv_in = nn.Conv2d(3, width, 2 * patch, stride=patch, padding=patch // 2)
        self.decoder.conv_out = nn.ConvTranspose2d(width, 3, 2 * patch, stride=patch, padding=patch // 2)
        # The parent derives 1 from its single level; StableDiffusionPipeline reads this list's length.
        self.register_to_config(block_out_channels=(width,) * patch.bit_length())

    @classmethod
    def extract_init_dict(cls, config_dict: dict, **kwargs) -> tuple[dict, dict, dict]:
        """Reads our own settings only: those that the parent registered and saved follow from them."""
        own = {k: v for k, v in config_dict.items() if k.startswith("_") or k in cls._get_init_keys(cls)}
        return super().extract_init_dict(own, **kwargs)


def principal_components(images: Tensor, patch: int) -> tuple[Tensor, Tensor, Tensor]:
    """Mean (d,), components (d, d) in rows by falling variance, and deviations (d,) of patches of (n 3 h w)."""
    patches = nn.functional.unfold(images, patch, stride=patch).transpose(1, 2).flatten(0, 1)
    mean = patches.mean(dim=0)
    variances, vectors = torch.linalg.eigh(torch.cov((patches - mean).T))
    return mean, vectors.T.flip(0), variances.flip(0).clamp(min=1e-8).sqrt()


@torch.no_grad()
def start_from_principal_components(model: PatchAutoencoderKL, images: Tensor) -> None:
    """Sets the weights so that the model begins as the best linear code of its patches, (n 3 h w) in -1..1.

    Its latents are the leading components, each divided by the root of its deviation: the coarse ones stay larger.
    """
    patch, width, latent = model.config.patch, model.config.width, model.config.latent_channels
    mean, components, deviations = principal_components(images, patch)
    constants = torch.zeros(width)
    constants.view(8, -1)[:, 0], constants.view(8, -1)[:, 1] = CONSTANT, -CONSTANT
    data = (constants == 0).nonzero().flatten()[: components.shape[0]]  # channels that carry components
    kept, spread = len(data), deviations[: len(data)]

    for module in model.modules():
        if hasattr(module, "conv2"):  # a resnet: starts as the identity
            nn.init.zeros_(module.conv2.weight)
            nn.init.zeros_(module.conv2.bias)
            module.norm1.weight.copy_(torch.where(constants == 0, 1 / DATA_STD, 0.2))
    encoder, decoder = model.encoder, model.decoder
    encode = components[:kept] / spread[:, None] * DATA_STD
    nn.init.zeros_(encoder.conv_in.weight)
    encoder.conv_in.bias.copy_(constants)
    encoder.conv_in.weight[data] = centred(encode.view(kept, 3, patch, patch))
    encoder.conv_in.bias[data] = -encode @ mean
    gain = CONSTANT * (2 * 8 / width) ** 0.5 / DATA_STD  # undoes what normalisation and DATA_STD did
    for norm in (encoder.conv_norm_out, decoder.conv_norm_out):
        norm.weight.copy_(torch.where(constants == 0, gain, 0.0))
        nn.init.constant_(norm.bias, SILU_BIAS)
    code = spread[:latent].sqrt()  # the deviation of each latent
    select_linear(encoder.conv_out, data[:latent], code, offset=-SILU_BIAS)
    encoder.conv_out.bias[latent:] = -9.0  # log variance of the posterior
    for conv in (model.quant_conv, model.post_quant_conv):
        nn.init.dirac_(conv.weight)
        nn.init.zeros_(conv.bias)
    nn.init.zeros_(decoder.conv_in.weight)
    decoder.conv_in.bias.copy_(constants)
    decoder.conv_in.weight[data[:latent], torch.arange(latent), 1, 1] = DATA_STD / code
    decode = components[:kept] * spread[:, None]
    nn.init.zeros_(decoder.conv_out.weight)
    decoder.conv_out.weight[data] = centred(decode.view(kept, 3, patch, patch))
    # A channel that is SILU_BIAS everywhere carries the mean patch, less what SILU_BIAS adds to all the others.
    carrier = int((constants != 0).nonzero()[0])
    decoder.conv_out.weight[carrier] = centred((mean / SILU_BIAS - decode.sum(dim=0)).view(3, patch, patch))
    nn.init.zeros_(decoder.conv_out.bias)


def centred(patches: Tensor) -> Tensor:
    """Patches (... p p) amid zeros, (... 2p 2p): the start of a kernel that also reaches over the borders."""
    return nn.functional.pad(patches, (patches.shape[-1] // 2,) * 4)


def select_linear(conv: nn.Conv2d, channels: Tensor, scale: Tensor, offset: float) -> None:
    """Makes output i of a 3x3 convolution `scale[i] * (input[channels[i]] + offset)`, and all others zero."""
    nn.init.zeros_(conv.weight)
    nn.init.zeros_(conv.bias)
    rows = torch.arange(len(channels))
    conv.weight[rows, channels, 1, 1] = scale
    conv.bias[: len(channels)] = offset * scale
