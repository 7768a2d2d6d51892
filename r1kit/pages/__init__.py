"""The browser chat: a gradio app that uses the public API and nothing else."""
