"""A mixer, a task and a study for attn_research."""
