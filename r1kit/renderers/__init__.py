"""Renderers: chat templates and thinking tags, from messages to tokens and back."""
