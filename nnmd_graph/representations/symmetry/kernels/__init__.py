"""How the sums of symmetry functions are computed, and how gradients flow back through them."""
