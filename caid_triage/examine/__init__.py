"""EXAMINE one content: identify, digests, decode, perceptual hashes. Pure; runs in workers."""
