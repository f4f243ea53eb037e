"""THE UNIT'S MEMORY: what earlier cases had, by digest; what links the case at hand to them."""
