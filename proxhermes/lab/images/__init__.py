"""Everything the lab's node serves that has to be built first: guest templates, the agent's image, their caches."""
