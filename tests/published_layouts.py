"""Repositories of full-size models as their authors published them in 2022 and 2023, made of tiny models.

What today's `save_pretrained` writes is laid out otherwise: tokenizers in one file, weights of text encoders under
shorter names. All files of the real repositories are here, most of which must never be downloaded.
"""

import json
from pathlib import Path

import torch
from diffusers import StableDiffusionPipeline, StableDiffusionXLPipeline
from safetensors.torch import save
from torch import nn
from transformers import CLIPTokenizer
from transformers.convert_slow_tokenizer import bytes_to_unicode

START, END = "<|startoftext|>", "<|endoftext|>"
MERGES = ("r e", "re d</w>", "h o", "ho r", "hor s", "hors e</w>", "r u", "ru n", "run s</w>", "t h", "th e</w>")
UNWANTED = b"not to be downloaded"
SAFETY = ("config.json", "model.fp16.safetensors", "model.safetensors", "pytorch_model.bin", "pytorch_model.fp16.bin")
OTHER_FORMS = ("flax_model.msgpack", "model.onnx", "model.onnx_data", "openvino_model.bin", "openvino_model.xml")


def vocabulary() -> dict[str, int]:
    """In CLIP's order: bytes, bytes that end a word, merges, the two marks. "!" is 0, as in the real one."""
    signs = list(bytes_to_unicode().values())
    merged = [merge.replace(" ", "") for merge in MERGES]
    return {word: i for i, word in enumerate([*signs, *(f"{sign}</w>" for sign in signs), *merged, START, END])}


def mark(content: str, **more: object) -> dict[str, object]:
    return {"content": content, "lstrip": False, "normalized": True, "rstrip": False, "single_word": False, **more}


def tokenizer_files(pad: str, described: bool) -> dict[str, bytes]:
    """The four files of a tokenizer: those of SDXL list their marks by number, Stable Diffusion 1.4's do not."""
    words = vocabulary()
    marks = {"bos_token": mark(START), "eos_token": mark(END), "unk_token": mark(END)}
    config = {"add_prefix_space": False, "do_lower_case": True, "errors": "replace", "model_max_length": 77}
    config |= {"tokenizer_class": "CLIPTokenizer", "pad_token": pad}
    if described:
        config |= {"bos_token": START, "eos_token": END, "unk_token": END, "clean_up_tokenization_spaces": True}
        listed = {words[word]: mark(word, special=True) for word in sorted({START, END, pad})}
        config |= {"added_tokens_decoder": listed}
    else:
        config |= {name: {"__type": "AddedToken", **found} for name, found in marks.items()}
        config |= {"special_tokens_map_file": "./special_tokens_map.json"}
    return {
        "merges.txt": "\n".join(["#version: 0.2", *MERGES, ""]).encode(),
        "vocab.json": json.dumps(words).encode(),
        "special_tokens_map.json": json.dumps(marks | {"pad_token": pad}).encode(),
        "tokenizer_config.json": json.dumps(config).encode(),
    }


def published_tokenizer(folder: Path, pad: str = END) -> CLIPTokenizer:
    """The tokenizer of such files, which go into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in tokenizer_files(pad, described=pad != END).items():
        (folder / name).write_bytes(content)
    return CLIPTokenizer.from_pretrained(folder)


def weights(network: nn.Module, half: bool = False) -> bytes:
    return save({name: value.half() if half else value for name, value in network.state_dict().items()})


def text_weights(encoder: nn.Module, half: bool = False) -> bytes:
    """As transformers 4 wrote them: all below `text_model`, and the numbers of the positions."""
    held = {f"text_model.{name.removeprefix('text_model.')}": value for name, value in encoder.state_dict().items()}
    if "text_model.text_projection.weight" in held:
        held["text_projection.weight"] = held.pop("text_model.text_projection.weight")
    held = {name: value.half() if half else value for name, value in held.items()}
    return save(held | {"text_model.embeddings.position_ids": torch.arange(77)[None]})


def old_vae_weights(vae: nn.Module) -> bytes:
    """Under the names that the layers of its attention had in 2022."""
    old = {".to_q.": ".query.", ".to_k.": ".key.", ".to_v.": ".value.", ".to_out.0.": ".proj_attn."}
    held = vae.state_dict()
    for new, name in old.items():
        held = {key.replace(new, name): value for key, value in held.items()}
    assert held.keys() != vae.state_dict().keys()
    return save(held)


def published_unet(unet: nn.Module) -> dict[str, bytes]:
    """A DPO UNet's repository: nothing else is there."""
    return {
        ".gitattributes": UNWANTED,
        "README.md": UNWANTED,
        "unet/config.json": unet.to_json_string().encode(),
        "unet/diffusion_pytorch_model.safetensors": weights(unet),
    }


def published_vae(vae: nn.Module) -> dict[str, bytes]:
    """The repository of SDXL's autoencoder for half precision."""
    unwanted = (".gitattributes", "README.md", "diffusion_pytorch_model.bin", "sdxl_vae.safetensors")
    return dict.fromkeys(unwanted, UNWANTED) | {
        "config.json": vae.to_json_string().encode(),
        "diffusion_pytorch_model.safetensors": weights(vae),
    }


def below(folder: str, files: dict[str, bytes]) -> dict[str, bytes]:
    return {f"{folder}/{name}": content for name, content in files.items()}


def published_sd14(pipeline: StableDiffusionPipeline) -> dict[str, bytes]:
    """The repository CompVis/stable-diffusion-v1-4."""
    classes = {"scheduler": "PNDMScheduler", "unet": "UNet2DConditionModel", "vae": "AutoencoderKL"}
    parts = {name: ["diffusers", kind] for name, kind in classes.items()}
    parts |= {"text_encoder": ["transformers", "CLIPTextModel"], "tokenizer": ["transformers", "CLIPTokenizer"]}
    parts |= {"feature_extractor": ["transformers", "CLIPFeatureExtractor"]}
    parts |= {"safety_checker": ["stable_diffusion", "StableDiffusionSafetyChecker"]}
    index = {"_class_name": "StableDiffusionPipeline", "_diffusers_version": "0.8.0.dev0"} | parts
    files = dict.fromkeys((".gitattributes", "README.md", "feature_extractor/preprocessor_config.json"), UNWANTED)
    files |= below("safety_checker", dict.fromkeys(SAFETY, UNWANTED))
    files |= below("text_encoder", dict.fromkeys(SAFETY, UNWANTED))
    for form in ("", ".fp16", ".non_ema"):
        for kind in ("bin", "safetensors"):
            files[f"unet/diffusion_pytorch_model{form}.{kind}"] = UNWANTED
            files[f"vae/diffusion_pytorch_model{form}.{kind}"] = UNWANTED
    return files | {
        "model_index.json": json.dumps(index).encode(),
        "scheduler/scheduler_config.json": pipeline.scheduler.to_json_string().encode(),
        **below("tokenizer", tokenizer_files(END, described=False)),
        "text_encoder/config.json": pipeline.text_encoder.config.to_json_string(use_diff=False).encode(),
        "text_encoder/model.safetensors": text_weights(pipeline.text_encoder),
        "vae/config.json": pipeline.vae.to_json_string().encode(),
        "vae/diffusion_pytorch_model.safetensors": old_vae_weights(pipeline.vae),
        "unet/config.json": pipeline.unet.to_json_string().encode(),
        "unet/diffusion_pytorch_model.safetensors": weights(pipeline.unet),
    }


def published_sdxl(pipeline: StableDiffusionXLPipeline) -> dict[str, bytes]:
    """The repository stabilityai/stable-diffusion-xl-base-1.0."""
    classes = {"scheduler": "EulerDiscreteScheduler", "unet": "UNet2DConditionModel", "vae": "AutoencoderKL"}
    parts = {name: ["diffusers", kind] for name, kind in classes.items()}
    parts |= {name: ["transformers", "CLIPTokenizer"] for name in ("tokenizer", "tokenizer_2")}
    parts |= {"text_encoder": ["transformers", "CLIPTextModel"]}
    parts |= {"text_encoder_2": ["transformers", "CLIPTextModelWithProjection"]}
    index = {"_class_name": "StableDiffusionXLPipeline", "_diffusers_version": "0.19.0.dev0"} | parts
    index |= {"force_zeros_for_empty_prompt": True, "add_watermarker": None}
    files = dict.fromkeys((".gitattributes", "README.md", "LICENSE.md", "01.png", "comparison.png"), UNWANTED)
    files |= dict.fromkeys(("sd_xl_base_1.0.safetensors", "sd_xl_offset_example-lora_1.0.safetensors"), UNWANTED)
    for folder in ("text_encoder", "text_encoder_2", "unet", "vae", "vae_1_0", "vae_decoder", "vae_encoder"):
        kind = "model" if folder.startswith("text") else "diffusion_pytorch_model"
        unwanted = (*OTHER_FORMS, "config.json", f"{kind}.safetensors", f"{kind}.fp16.safetensors")
        files |= below(folder, dict.fromkeys(unwanted, UNWANTED))
    for folder in ("text_encoder", "text_encoder_2"):
        encoder = getattr(pipeline, folder)
        files[f"{folder}/config.json"] = encoder.config.to_json_string(use_diff=False).encode()
        files[f"{folder}/model.fp16.safetensors"] = text_weights(encoder, half=True)
    return files | {
        "model_index.json": json.dumps(index).encode(),
        "scheduler/scheduler_config.json": pipeline.scheduler.to_json_string().encode(),
        **below("tokenizer", tokenizer_files(END, described=True)),
        **below("tokenizer_2", tokenizer_files("!", described=True)),
        "unet/config.json": pipeline.unet.to_json_string().encode(),
        "unet/diffusion_pytorch_model.fp16.safetensors": weights(pipeline.unet, half=True),
    }
