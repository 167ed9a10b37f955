"""What every public call goes through; it knows no mathematics."""
