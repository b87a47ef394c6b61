"""`python -m minitoolai.children.onnx_pictures`: draws pictures with Stable Diffusion as an ONNX folder, by onnxruntime.

Boot document: `boot.Boot`. Events: `ready`, `failed` (`code` one of boot_invalid, engine_missing, model_missing,
model_invalid, out_of_memory). The wire is `core/drawing_wire`: a connection is a picture, and closing it cancels it.

`folder` reads what is in a model's folder, `prompts` makes tokens of texts, `networks` runs the three networks, `drawing`
goes from noise to a PNG by `core/samplers`, `server` takes the orders. What must never enter: jobs, prices, files of
pictures; and at the top of `boot`, `folder` and `__main__` nothing that starts threads (numpy does): the network is cut
off while there is one.
"""
