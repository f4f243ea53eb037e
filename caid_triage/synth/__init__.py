"""Make small benign exhibits whose truth is known, in pure Python: no mkfs, no root, any platform."""
