"""The parts of the `pocket` backbone at their sizes, untrained: real diffusers and transformers classes, small."""

import json
from pathlib import Path

from diffusers import DDIMScheduler, UNet2DConditionModel
from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from huvidpo.pocket.practice_clips import vocabulary

LATENT_CHANNELS = 16
TEXT_WIDTH = 160
TEXT_TOKENS = 24  # the longest caption has 16 words


def new_tokenizer(folder: Path) -> CLIPTokenizer:
    """CLIP's own tokenizer with one token per word of the practice captions, and bytes for all other words.

    So an unknown word falls apart into pieces instead of becoming a known one. The files are written to `folder`, and
    read from there when they are there: pieces that are equally frequent get their numbers in an order that changes
    from run to run, and what was trained with one tokenizer needs the same one.
    """
    if folder.is_dir() and any(folder.iterdir()):
        return CLIPTokenizer.from_pretrained(folder, model_max_length=TEXT_TOKENS, local_files_only=True)
    learner = Tokenizer(models.BPE(end_of_word_suffix="</w>"))
    learner.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(
        vocab_size=10_000, end_of_word_suffix="</w>", initial_alphabet=alphabet, min_frequency=1, show_progress=False
    )
    learner.train_from_iterator([" ".join(vocabulary())], trainer)
    merges = [" ".join(pair) for pair in json.loads(learner.to_str())["model"]["merges"]]
    learned = learner.get_vocab()
    tokens = sorted(learned, key=learned.get)
    tokens += [f"{letter}</w>" for letter in alphabet] + ["<|startoftext|>", "<|endoftext|>"]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vocab.json").write_text(
        json.dumps({token: i for i, token in enumerate(dict.fromkeys(tokens))}), encoding="utf-8"
    )
    (folder / "merges.txt").write_text("\n".join(["#version: 0.2", *merges]) + "\n", encoding="utf-8")
    return CLIPTokenizer.from_pretrained(folder, model_max_length=TEXT_TOKENS)


def new_text_encoder(tokenizer: CLIPTokenizer) -> CLIPTextModel:
    """A three-layer CLIP text encoder over the tokenizer's vocabulary."""
    return CLIPTextModel(
        CLIPTextConfig(
            vocab_size=len(tokenizer),
            hidden_size=TEXT_WIDTH,
            intermediate_size=4 * TEXT_WIDTH,
            projection_dim=TEXT_WIDTH,
            num_hidden_layers=3,
            num_attention_heads=4,
            max_position_embeddings=TEXT_TOKENS,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
    )


def new_unet() -> UNet2DConditionModel:
    """SD 1.x's UNet with two levels (16x16 and 8x8), narrow."""
    return UNet2DConditionModel(
        sample_size=16,
        in_channels=LATENT_CHANNELS,
        out_channels=LATENT_CHANNELS,
        block_out_channels=(80, 160),
        down_block_types=("CrossAttnDownBlock2D",) * 2,
        up_block_types=("CrossAttnUpBlock2D",) * 2,
        layers_per_block=1,
        cross_attention_dim=TEXT_WIDTH,
        attention_head_dim=5,  # the number of heads, in SD 1.x's configuration
        norm_num_groups=16,
    )


def new_scheduler() -> DDIMScheduler:
    """SD's noise schedule with velocity prediction and a last step that is pure noise (arXiv 2305.08891).

    Drawn scenes differ most in their mean brightness, which a schedule that never reaches pure noise gets wrong.
    """
    return DDIMScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        prediction_type="v_prediction",
        rescale_betas_zero_snr=True,
        timestep_spacing="trailing",
        clip_sample=False,
        set_alpha_to_one=False,
        steps_offset=1,  # without effect here; diffusers warns about any other number
    )
