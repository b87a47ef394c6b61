"""Voices in memory: loaded when they are first needed, so many of them kept."""

from __future__ import annotations

import json
import logging
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Generic, TypeVar

from piper import PiperVoice
from piper.config import PhonemeType, PiperConfig
from piper.tashkeel import TashkeelDiacritizer

from minitoolai.children.piper.folder import config_path
from minitoolai.children.speech.sessions import failures, open_session
from minitoolai.children.speech.speller import Sounds
from minitoolai.children.speech.spelling import Speller

Item = TypeVar("Item")

#: espeak-ng's name of Arabic.
_ARABIC = "ar"

# It names sounds of the caller's text that a voice does not know.
logging.getLogger("piper").setLevel(logging.ERROR)


class SpeltVoice(PiperVoice):
    """A voice whose texts the speller turns into sounds."""

    speller: Speller

    def phonemize(self, text: str) -> Sounds:
        """Return the sounds of each sentence. Raises `SpeakingFailed`, and what other phonemizers raise."""
        if self.config.phoneme_type != PhonemeType.ESPEAK:
            sounds: Sounds = super().phonemize(text)
            return sounds
        if self.config.espeak_voice == _ARABIC:
            # As the package does: a network adds the short vowels, which are not written.
            if self.tashkeel_diacritizier is None:
                self.tashkeel_diacritizier = TashkeelDiacritizer()
            text = self.tashkeel_diacritizier(text, taskeen_threshold=self.taskeen_threshold)
        clusters = tuple(sorted(self.config.vowel_clusters or ()))
        return self.speller.sounds(text, self.config.espeak_voice, clusters)


def load(path: Path, speller: Speller, threads: int) -> SpeltVoice:
    """Return the voice of a file. Raises `SpeakingFailed`."""
    with failures(f"the voice {path.name} cannot be loaded"):
        config = PiperConfig.from_dict(json.loads(config_path(path).read_bytes()))
        # Whatever a phonemizer would download is not looked for where the process happens to run.
        voice = SpeltVoice(session=open_session(path, threads), config=config, download_dir=path.parent)
    voice.speller = speller
    return voice


@dataclass
class _Place(Generic[Item]):
    """Where one item is, or will be."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    item: Item | None = None


class Shelf(Generic[Item]):
    """Items by their paths, so many of them; the one that was asked for longest ago makes room. For several threads."""

    def __init__(self, load: Callable[[Path], Item], most: int) -> None:
        """`load` brings an item; what it raises goes to who asked, and the next to ask has it tried again."""
        self._load = load
        self._most = most
        self._lock = threading.Lock()
        self._places: OrderedDict[Path, _Place[Item]] = OrderedDict()

    def get(self, path: Path) -> Item:
        """Return an item. Several that ask for it at once wait for one load."""
        with self._lock:
            place = self._places.setdefault(path, _Place())
            self._places.move_to_end(path)
            while len(self._places) > self._most:
                self._places.popitem(last=False)
        with place.lock:
            if place.item is None:
                place.item = self._load(path)
            return place.item
