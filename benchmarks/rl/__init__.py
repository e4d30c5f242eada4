"""What reinforcement learning reaches: training runs and evaluations as cells, one small result file each."""
