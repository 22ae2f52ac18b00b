"""What stands between a learned version and the shoppers."""
