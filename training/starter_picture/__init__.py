"""Makes the starter picture model: its drawings, captions, weights and ONNX folder; the server never imports this."""
