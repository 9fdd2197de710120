"""Stage 1 (motion from clips) and stage 2 (preferences): losses, loops and their checkpoints."""
