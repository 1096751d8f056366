"""Train the embedded CLIP with a ResNet tower, which TRIS fine-tunes: same words, views and loss as the ViT's.

python -m resources.embedded.recipes.clip_rn --out resources/embedded/clip_rn --minutes 9
"""

from functools import partial

from resources.embedded.recipes.clip import Tower, train
from resources.embedded.recipes.pacing import run_recipe
from resources.toyref.writer import RECIPE_SEEDS_START

RESNET = Tower(
    title="embedded CLIP with a ResNet tower",
    vision={"image_size": 160, "patch_size": None, "width": 16, "layers": [1, 1, 1, 1]},
    first_seed=RECIPE_SEEDS_START + 70_000_000,
)

if __name__ == "__main__":
    run_recipe(partial(train, tower=RESNET), minutes=9, description="Train the embedded CLIP with a ResNet tower.")
