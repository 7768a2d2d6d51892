"""The verbs: pretrain, SFT, RL, sample-and-keep. Blind to tasks, rewards and templates."""
