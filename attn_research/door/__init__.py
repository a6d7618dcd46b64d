"""What `import attn_research as ar` offers: one call for each wish."""
