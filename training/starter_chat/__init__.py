"""Makes the starter chat model: its talk, its tokens, its weights and its GGUF file; the server never imports this."""
