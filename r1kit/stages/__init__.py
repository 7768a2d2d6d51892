"""THE RECIPE, one short file a stage; a stage only composes verbs."""
