"""Pictures of faces, of what a network is trained on, and of how training went."""
