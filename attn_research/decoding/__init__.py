"""The writing of a model, token by token, and its quality: text, pictures, answers."""
