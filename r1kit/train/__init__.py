"""Training: pretraining, SFT, reward models and RL. Independent of tasks, rewards and templates."""
