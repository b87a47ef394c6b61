"""`python -m minitoolai.children.kokoro`: speaks with Kokoro's model, by kokoro-onnx; phonemizer, which turns texts into
sounds, is under the GPL and in this process alone.

Boot document: `speech.boot.VoicesBoot`. Events: `ready`, `failed` (`code` one of boot_invalid, engine_missing,
model_missing, model_invalid, out_of_memory). The wire is `core/speech_wire`.

`folder` finds the files, `speller` is the process that turns texts into sounds, `synthesis` speaks. What must never
enter: prices, other engines; and at the top of `folder` and `__main__` nothing that starts threads (numpy does): the
network is cut off while there is one.
"""
