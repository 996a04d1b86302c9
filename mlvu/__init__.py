"""MLVU: questions on long videos, scored as the leaderboard scores them."""
