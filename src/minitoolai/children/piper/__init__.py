"""`python -m minitoolai.children.piper`: speaks with Piper's voices, by piper-tts (under the GPL, in this process alone).

Boot document: `boot.Boot`. Events: `ready`, `failed` (`code` one of boot_invalid, engine_missing, model_missing,
model_invalid, out_of_memory). The wire is `core/speech_wire`.

`folder` reads what voices there are, `voice` loads one, `speller` is the process that turns texts into sounds, `synthesis`
speaks. What must never enter: prices, other engines;
and at the top of `boot`, `folder` and `__main__` nothing that starts threads (numpy does): the network is cut off while
there is one.
"""
