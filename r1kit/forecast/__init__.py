"""The forecast of a recipe: memory, disk, tokens, time and price, before anything is trained."""
