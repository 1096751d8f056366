"""CLIPs of open_clip by their folders: each with its own images, texts, scale and bias."""

import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import pytest
import torch
from numpy.typing import NDArray
from open_clip.transform import PreprocessCfg, image_transform_v2
from PIL import Image
from safetensors.torch import load_file, save_file

from ops.refusal import Refused
from resources.checkpoints import HUB_CHECKPOINTS
from resources.models import clip_names
from resources.models.clip import Clip
from resources.models.clip_images import OPENAI, Preparation, preparation_of, prepare_images
from resources.models.clip_names import architecture_config, has_tokens
from resources.models.open_clip_models import load_open_clip
from resources.models.refs import ModelRef
from tests.resources.models.hub_folders import CLIP, SIGLIP, clip

LOOK: dict[str, Any] = {
    "mean": [0.4, 0.5, 0.6],
    "std": [0.2, 0.3, 0.25],
    "interpolation": "bilinear",
    "resize_mode": "longest",
}
TEXTS = ["a red cup", "The man, on the left!"]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Path]:
    home = tmp_path_factory.mktemp("open_clip")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return {"vit": clip(home / "vit", CLIP, **LOOK, fill_color=7), "siglip": clip(home / "siglip", SIGLIP)}


def smooth(height: int, width: int) -> NDArray[np.uint8]:
    rows, columns = np.mgrid[:height, :width] / 40
    channels = [np.sin(rows), np.cos(columns), np.sin(rows + columns)]
    return (127 * (1 + np.stack(channels, axis=-1))).astype(np.uint8)


def tensor(image: NDArray[np.uint8]) -> torch.Tensor:
    return torch.from_numpy(image.copy()).permute(2, 0, 1)[None]


@pytest.mark.parametrize("resize_mode", ["shortest", "longest", "squash"])
@pytest.mark.parametrize("interpolation", ["bicubic", "bilinear"])
@pytest.mark.parametrize("shape", [(120, 180), (97, 61), (50, 50)])
def test_images_are_prepared_as_open_clip_prepares_them(
    resize_mode: Any, interpolation: Any, shape: tuple[int, int]
) -> None:
    config = {**LOOK, "resize_mode": resize_mode, "interpolation": interpolation, "fill_color": 9}
    image, preparation = smooth(*shape), Preparation.from_config(config)
    ours = prepare_images(tensor(image), size=32, crop="center", preparation=preparation)[0]
    theirs = image_transform_v2(PreprocessCfg(size=32, **config), is_train=False)(Image.fromarray(image))
    assert ours.shape == theirs.shape == (3, 32, 32)
    assert (ours - theirs).abs().max() < 0.03, "within two grey levels, by which 8-bit resizing rounds"


def test_padding_shows_the_whole_image_to_any_clip() -> None:
    white = torch.full((1, 3, 20, 60), 255.0)
    for resize in ("shortest", "longest", "squash"):
        prepared = prepare_images(white, size=30, crop="pad", preparation=Preparation(resize=resize))
        assert prepared.shape == (1, 3, 30, 30)
        assert (prepared[0, 0] > 1).float().mean() == pytest.approx(1 / 3, abs=0.05)


@pytest.mark.parametrize("name", ["vit", "siglip"])
def test_texts_and_images_have_the_vectors_that_open_clip_gives(name: str, folders: Mapping[str, Path]) -> None:
    ours = load_open_clip("someone/clip", folders[name])
    theirs, _, prepare = open_clip.create_model_and_transforms(f"local-dir:{folders[name]}")
    tokenizer = open_clip.get_tokenizer(f"local-dir:{folders[name]}")
    image = smooth(90, 70)
    with torch.no_grad():
        torch.testing.assert_close(
            ours.encode_texts(TEXTS), theirs.eval().encode_text(tokenizer(TEXTS), normalize=True), atol=1e-5, rtol=0
        )
        expected = theirs.encode_image(prepare(Image.fromarray(image))[None], normalize=True)
    torch.testing.assert_close(ours.encode_images(tensor(image), crop="center"), expected, atol=5e-3, rtol=0)
    assert ours.encode_texts([]).shape == (0, 16)


def test_length_scale_and_bias_are_the_models_own(folders: Mapping[str, Path]) -> None:
    vit, siglip = (load_open_clip("someone/clip", folders[name]) for name in ("vit", "siglip"))
    assert (vit.tokenizer(TEXTS).shape[1], siglip.tokenizer(TEXTS).shape[1]) == (20, 24)
    assert (vit.logit_bias, siglip.logit_bias) == (0.0, -10.0)
    assert vit.logit_scale == pytest.approx(1 / 0.07)
    assert vit.preparation == Preparation.from_config({**LOOK, "fill_color": 7})
    assert (siglip.preparation.resize, siglip.image_size) == ("squash", 160)


@pytest.mark.parametrize("name", ["vit", "siglip"])
def test_what_becomes_of_images_is_known_without_the_network(
    name: str, folders: Mapping[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ModelRef, "path", lambda _: folders[name])
    assert preparation_of(ModelRef("clip_vit", "someone/clip")) == load_open_clip("x", folders[name]).preparation
    assert preparation_of(ModelRef("clip_vit", "ViT-B-16-SigLIP:webli")).resize == "squash"
    assert preparation_of(ModelRef("clip_vit")) == OPENAI
    assert (OPENAI.mean, OPENAI.std) == (open_clip.OPENAI_DATASET_MEAN, open_clip.OPENAI_DATASET_STD)


def test_tokens_are_masked_in_open_clips_own_towers_alone(folders: Mapping[str, Path]) -> None:
    vit, siglip = (load_open_clip("someone/clip", folders[name]) for name in ("vit", "siglip"))
    image = torch.zeros(3, 32, 32)
    plain = vit.encode_images(image[None], crop="center", unit=False)
    assert torch.equal(vit.encode_token_masked(image, torch.ones(1, 4, 4), first=1), plain)
    with pytest.raises(Refused, match="needs a CLIP with a vision transformer"):
        _ = siglip.tower


@pytest.fixture
def listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The small network as an architecture of open_clip, with weights that it lists."""
    (tmp_path / "tiny.json").write_text(json.dumps(CLIP))
    monkeypatch.setattr(clip_names, "architectures", lambda: tmp_path)
    clip_names.architecture_config.cache_clear()
    open_clip.add_model_config(tmp_path / "tiny.json")
    tags = {"made": {**LOOK, "quick_gelu": True}}
    monkeypatch.setattr(open_clip, "get_pretrained_cfg", lambda name, tag: tags.get(tag, {}) if name == "tiny" else {})
    monkeypatch.setattr(open_clip, "list_pretrained_tags_by_model", lambda _: list(tags))


@pytest.mark.usefixtures("listed")
def test_a_listed_model_needs_no_configuration_beside_its_weights(folders: Mapping[str, Path], tmp_path: Path) -> None:
    folder = shutil.copytree(folders["vit"], tmp_path / "tiny")
    (folder / "open_clip_config.json").unlink()
    model = load_open_clip("tiny:made", folder)
    assert model.preparation == Preparation.from_config(LOOK)
    assert any(type(part).__name__ == "QuickGELU" for part in model.model.modules()), "the activation of the weights"
    with pytest.raises(Refused, match=r"lists no weights 'mine' of tiny \(it has made\)"):
        load_open_clip("tiny:mine", folder)


def test_weights_of_the_older_layout_are_read(folders: Mapping[str, Path], tmp_path: Path) -> None:
    """As training wrote them: a prefix of every name, text and image towers side by side, a scale of one dimension."""
    folder = shutil.copytree(folders["vit"], tmp_path / "old")
    weights = load_file(folder / "open_clip_model.safetensors")
    (folder / "open_clip_model.safetensors").unlink()
    old = {f"module.{name}": value.reshape(1) if name == "logit_scale" else value for name, value in weights.items()}
    torch.save({"epoch": 3, "state_dict": old}, folder / "open_clip_pytorch_model.bin")
    config = json.loads((folder / "open_clip_config.json").read_text())
    config["model_cfg"]["custom_text"] = True
    (folder / "open_clip_config.json").write_text(json.dumps(config))
    before, after = (load_open_clip("someone/clip", place) for place in (folders["vit"], folder))
    torch.testing.assert_close(before.encode_texts(TEXTS), after.encode_texts(TEXTS), atol=1e-6, rtol=0)


def rewritten(**changes: Any) -> Callable[[Path], Any]:
    def change(folder: Path) -> None:
        path = folder / "open_clip_config.json"
        config = json.loads(path.read_text())
        for part, values in changes.items():
            place = config["model_cfg"] if part in ("vision_cfg", "text_cfg") else config
            place[part] = {**place[part], **values} if isinstance(values, dict) else values
        path.write_text(json.dumps(config))

    return change


def removed(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).unlink()


def reweighed(folder: Path) -> None:
    path = folder / "open_clip_model.safetensors"
    save_file({**load_file(path), "surprise": torch.ones(1)}, path)


DAMAGE: dict[str, tuple[str, Callable[[Path], Any], str]] = {
    "no weights": ("vit", lambda folder: removed(folder, "open_clip_model.safetensors"), "holds no open_clip_model"),
    "no configuration": (
        "vit",
        lambda folder: removed(folder, "open_clip_config.json"),
        r"open_clip_config\.json is missing",
    ),
    "no CLIP": ("vit", rewritten(model_cfg=3), "describes no CLIP in its 'model_cfg'"),
    "a key more": ("vit", reweighed, r"open_clip_model\.safetensors does not fit this model: 1 keys unknown"),
    "another width": ("vit", rewritten(vision_cfg={"width": 48}), "keys of another shape"),
    "no such resizing": ("vit", rewritten(preprocess_cfg={"resize_mode": "twist"}), "resize_mode is 'twist'"),
    "no deviation": ("vit", rewritten(preprocess_cfg={"std": [0, 1, 1]}), "std is"),
    "a text tower of transformers": (
        "vit",
        rewritten(text_cfg={"hf_model_name": "xlm-roberta-base"}),
        "reads its texts with xlm-roberta-base",
    ),
    "an image tower that is to be fetched": (
        "siglip",
        rewritten(vision_cfg={"timm_model_name": "hf-hub:timm/test_vit.r160_in1k"}),
        "describes no model that can be built",
    ),
    "no tokenizer": (
        "siglip",
        lambda folder: removed(folder, "tokenizer.json", "tokenizer_config.json"),
        "put the tokenizer of somewhere/else beside the weights",
    ),
    "a tokenizer of another model": ("siglip", rewritten(text_cfg={"vocab_size": 40}), "keys of another shape"),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_folder_that_is_not_a_whole_clip_is_refused(damage: str, folders: Mapping[str, Path], tmp_path: Path) -> None:
    kind, change, said = DAMAGE[damage]
    folder = shutil.copytree(folders[kind], tmp_path / "clip")
    change(folder)
    with pytest.raises(Refused, match=said):
        load_open_clip("someone/clip", folder)


@pytest.mark.parametrize(
    ("name", "tokens"),
    [
        ("ViT-B-16", True),
        ("ViT-L-14-336", True),
        ("coca_ViT-B-32", True),
        ("RN50", False),
        ("ViT-B-16-SigLIP2", False),
        ("MobileCLIP2-S0", False),
        ("EVA02-B-16", False),
        ("convnext_base_w", False),
    ],
)
def test_an_architecture_tells_whether_it_has_tokens(name: str, tokens: bool) -> None:
    assert has_tokens(architecture_config(name)) is tokens


@pytest.mark.parametrize("name", ["ViT-Z-1", "../ViT-B-16", ""])
def test_what_open_clip_does_not_know_is_refused(name: str) -> None:
    with pytest.raises(Refused, match="open_clip has no architecture"):
        architecture_config(name)


def test_a_clip_without_a_head_of_its_own_says_its_width(folders: Mapping[str, Path]) -> None:
    siglip = load_open_clip("someone/clip", folders["siglip"])
    assert isinstance(siglip, Clip)
    assert siglip.encode_images(torch.zeros(0, 3, 9, 9), crop="center").shape == (0, siglip.width) == (0, 16)


def test_every_listed_clip_is_one_whose_images_open_clip_describes() -> None:
    names = [name for name, known in HUB_CHECKPOINTS.items() if known.layout == "open_clip"]
    found = {name: Preparation.from_config(open_clip.get_pretrained_cfg(*name.split(":"))) for name in names}
    assert found["ViT-B-16:laion2b_s34b_b88k"] == Preparation()
    assert found["ViT-B-16-SigLIP2:webli"] == Preparation(mean=(0.5,) * 3, std=(0.5,) * 3, resize="squash")
    assert found["MobileCLIP2-S0:dfndr2b"].interpolation == "bilinear"
    assert all(architecture_config(name.split(":")[0]) for name in names)
