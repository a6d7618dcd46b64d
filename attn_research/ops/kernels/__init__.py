"""Accelerator kernels behind the ops that offer them as an implementation."""
