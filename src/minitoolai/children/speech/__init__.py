"""What every child that speaks has: its server, its encoders, and how a voice is found. The engines stand beside it."""
