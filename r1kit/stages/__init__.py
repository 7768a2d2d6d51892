"""The stages of the recipe, one short file each; a stage only composes the training functions."""
