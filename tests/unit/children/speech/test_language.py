"""Which language short and long texts are in."""

from __future__ import annotations

import threading

import pytest

from minitoolai.children.speech.language import language_of, warm_up

#: The languages that espeak-ng has voices for.
ALL = [
    "af", "am", "an", "ar", "as", "az", "ba", "be", "bg", "bn", "bpy", "bs", "ca", "chr", "cmn", "cs", "cv", "cy",
    "da", "de", "el", "en", "eo", "es", "et", "eu", "fa", "fi", "fo", "fr", "ga", "gd", "gn", "grc", "gu", "hak",
    "haw", "he", "hi", "hr", "ht", "hu", "hy", "hyw", "ia", "id", "io", "is", "it", "ja", "jbo", "ka", "kaa", "kk",
    "kl", "kn", "ko", "kok", "ku", "ky", "la", "lb", "lfn", "lt", "ltg", "lv", "mi", "mk", "ml", "mr", "ms", "mt",
    "mto", "my", "nb", "nci", "ne", "nl", "nog", "om", "or", "pa", "pap", "pl", "pt", "qu", "quc", "ro", "ru",
    "sd", "shn", "si", "sk", "sl", "smj", "sq", "sr", "sv", "sw", "ta", "te", "th", "ti", "tk", "tn", "tr", "tt",
    "ug", "uk", "ur", "uz", "vi", "yue",
]  # fmt: skip
FEW = ("en", "pl", "de", "fr", "es", "it", "pt", "nl", "uk", "ru", "cmn", "ar")

#: Phrases that the weights and the list of words were chosen with.
KNOWN = {
    "en": ("Hello", "Hi", "Good morning", "Thank you", "How are you?", "The weather is nice today.", "I love you"),
    "pl": ("Cześć", "Dzień dobry", "Dziękuję", "Tak", "Jak się masz?", "Dobranoc", "Zażółć gęślą jaźń", "Poprosze kawe"),
    "de": ("Danke", "Hallo Welt", "Guten Morgen", "Wie geht es dir?", "Das Wetter ist heute schön.", "Bitte"),
    "fr": ("Bonjour", "Merci", "Salut", "Au revoir", "Comment ça va ?", "Il fait beau aujourd'hui.", "Oui"),
    "es": ("Hola", "Gracias", "Buenos días", "¿Cómo estás?", "Adiós", "¿Dónde está la estación?"),
    "it": ("Ciao", "Grazie", "Buongiorno", "Come stai?", "Oggi il tempo è bello."),
    "pt": ("Olá", "Obrigado", "Bom dia", "Como você está?"),
    "nl": ("Goedemorgen", "Dank u wel", "Hoe gaat het met je?"),
    "sv": ("God morgon", "Tack så mycket", "Vädret är fint idag."),
    "nb": ("Tusen takk", "Jeg snakker litt norsk.", "Været er fint i dag, og vi skal ut å gå."),
    "cs": ("Dobrý den", "Děkuji", "Dnes je hezké počasí."),
    "hu": ("Köszönöm", "Jó napot kívánok", "Ma szép idő van."),
    "ro": ("Bună ziua", "Mulțumesc", "Vremea este frumoasă astăzi."),
    "tr": ("Merhaba", "Teşekkür ederim", "Bugün hava güzel."),
    "fi": ("Kiitos", "Hyvää huomenta", "Sää on tänään kaunis."),
    "uk": ("Привіт", "Дякую", "Добрий день", "Сьогодні гарна погода.", "Де вокзал?"),
    "ru": ("Привет", "Спасибо", "Здравствуйте", "Сегодня хорошая погода."),
    "bg": ("Благодаря", "Добър ден", "Днес времето е хубаво."),
    "el": ("Γεια σου", "Ευχαριστώ"),
    "cmn": ("你好", "你好，世界。", "谢谢", "今天天气很好。"),
    "yue": ("唔該", "你食咗飯未呀？"),
    "ja": ("こんにちは", "今日は天気がいいです。", "東京は日本の首都です。"),
    "ko": ("안녕하세요", "감사합니다"),
    "ar": ("مرحبا", "شكرا جزيلا", "السلام عليكم", "الطقس جميل اليوم."),
    "fa": ("متشکرم", "امروز هوا خوب است."),
    "ur": ("شکریہ", "آپ کیسے ہیں؟"),
    "he": ("שלום", "תודה רבה"),
    "hi": ("नमस्ते", "आप कैसे हैं?"),
    "vi": ("Xin chào", "Cảm ơn bạn", "Nhà ga ở đâu?"),
    "id": ("Terima kasih", "Apa kabar?"),
    "th": ("สวัสดีครับ",), "ka": ("გამარჯობა",), "hy": ("Բարև ձեզ",), "am": ("ሰላም",), "ta": ("வணக்கம்",), "te": ("నమస్కారం",),
    "bn": ("ধন্যবাদ",), "pa": ("ਸਤ ਸ੍ਰੀ ਅਕਾਲ",), "gu": ("નમસ્તે",), "kn": ("ನಮಸ್ಕಾರ",), "ml": ("നമസ്കാരം",), "si": ("ආයුබෝවන්",),
}  # fmt: skip

#: Phrases that nothing was chosen with.
NEW = {
    "en": ("Please call me back later.", "The train leaves at noon", "Happy birthday!", "Open the window", "Stop", "Coffee"),
    "pl": ("Wszystkiego najlepszego!", "Zadzwoń później.", "Otwórz okno", "Kawa z mlekiem", "Nie rozumiem", "Miłego dnia"),
    "de": ("Alles Gute zum Geburtstag!", "Der Zug fährt um zwölf ab.", "Woher kommst du?", "Ich verstehe nicht"),
    "fr": ("Joyeux anniversaire !", "Le train part à midi.", "D'où viens-tu ?", "Je ne comprends pas"),
    "es": ("¡Feliz cumpleaños!", "El tren sale al mediodía.", "No entiendo", "Hasta mañana"),
    "it": ("Buon compleanno!", "Il treno parte a mezzogiorno.", "Apri la finestra", "Non capisco"),
    "pt": ("Feliz aniversário!", "O trem parte ao meio-dia.", "Não entendo"),
    "nl": ("Gefeliciteerd met je verjaardag!", "De trein vertrekt om twaalf uur."),
    "sv": ("Grattis på födelsedagen!", "Jag förstår inte"),
    "nb": ("Gratulerer med dagen!", "Toget går klokken tolv."),
    "cs": ("Všechno nejlepší k narozeninám!", "Vlak odjíždí v poledne."),
    "sk": ("Všetko najlepšie k narodeninám!", "Vlak odchádza na poludnie."),
    "hu": ("Boldog születésnapot!", "Nem értem"),
    "ro": ("La mulți ani!", "Trenul pleacă la prânz."),
    "tr": ("Doğum günün kutlu olsun!", "Anlamıyorum"),
    "fi": ("Hyvää syntymäpäivää!", "En ymmärrä"),
    "uk": ("З днем народження!", "Потяг відправляється опівдні.", "Я не розумію"),
    "ru": ("С днём рождения!", "Поезд отправляется в полдень.", "Я не понимаю"),
    "bg": ("Честит рожден ден!", "Влакът тръгва по обяд.", "Не разбирам"),
    "cmn": ("生日快乐", "火车中午出发。", "我不明白"),
    "ja": ("お誕生日おめでとう", "電車は正午に出ます。"),
    "ar": ("عيد ميلاد سعيد", "يغادر القطار عند الظهر.", "لا أفهم"),
    "fa": ("تولدت مبارک",), "he": ("יום הולדת שמח",), "hi": ("जन्मदिन मुबारक",), "vi": ("Chúc mừng sinh nhật",),
    "ca": ("Per molts anys!", "El tren surt al migdia."),
}  # fmt: skip


def wrong(phrases: dict[str, tuple[str, ...]], candidates: tuple[str, ...] | list[str], default: str) -> list[str]:
    """Return the phrases that are told as another language, with that."""
    asked = ((language, text) for language, texts in phrases.items() if language in candidates for text in texts)
    told = ((language, text, language_of(text, candidates, default)) for language, text in asked)
    return [f"{text}: {found}" for language, text, found in told if found != language]


@pytest.mark.parametrize("default", ["en", "pl"])
def test_phrases_that_it_was_made_with(default: str) -> None:
    """Every one of them is told among twelve languages, and among all of espeak-ng's."""
    assert wrong(KNOWN, FEW, default) == []
    assert wrong(KNOWN, ALL, default) == []


@pytest.mark.parametrize("default", ["en", "pl"])
def test_phrases_that_it_never_saw(default: str) -> None:
    """Of 72, one in eight at most is told wrong among all languages, and one in ten among twelve."""
    count = sum(map(len, NEW.values()))
    few = sum(len(texts) for language, texts in NEW.items() if language in FEW)
    assert (count, few) == (72, 45)
    assert len(wrong(NEW, ALL, default)) <= count // 8
    assert len(wrong(NEW, FEW, default)) <= few // 10


@pytest.mark.parametrize(
    "text", ["", " ", "123", "OK", "😀", "...", "Taxi", "iPhone 15", "WiFi", "\ud83d", "a@b.example", "🇵🇱"]
)
@pytest.mark.parametrize("default", ["en", "pl", "fr"])
def test_texts_without_a_sign(text: str, default: str) -> None:
    """What says no language is spoken in the default."""
    assert language_of(text, ALL, default) == default


def test_a_script_that_nobody_speaks() -> None:
    """A text in letters for which there is no voice is spoken in the default, which says what it can."""
    assert language_of("안녕하세요", FEW, "en") == "en"
    assert language_of("Hello", ("ja", "ko"), "ko") == "ko"


def test_one_script_is_one_language() -> None:
    """Where one voice only has the script of a text, it speaks, however the text is told."""
    assert language_of("Добрий день", ("en", "ru"), "en") == "ru"
    assert language_of("東京", ("en", "ja"), "en") == "ja"
    assert language_of("שלום", ("en", "he"), "en") == "he"


def test_mixed_scripts() -> None:
    """The script of most letters decides, and a character of Chinese counts for two."""
    assert language_of("我喜欢 Python 和茶", FEW, "en") == "cmn"
    assert language_of("The word 你好 means hello.", FEW, "en") == "en"


def test_addresses_say_nothing() -> None:
    """An address on the Web is in no language."""
    assert language_of("Zobacz https://example.com/the/weather/is/nice/today teraz", FEW, "en") == "pl"


def test_the_default_need_not_be_among_them() -> None:
    """A default without a voice is said only where nothing else is."""
    assert language_of("Guten Morgen", ("de", "fr"), "xx") == "de"
    assert language_of("123", ("de", "fr"), "xx") == "xx"


def test_only_the_beginning_of_a_long_text_is_read() -> None:
    """A long text is told by its first two thousand characters."""
    assert language_of("Guten Morgen, wie geht es dir? " * 70 + "Bonjour, comment ça va ? " * 2000, FEW, "en") == "de"


def test_many_at_once() -> None:
    """Several threads may ask at the same time."""
    warm_up()
    found: list[str] = []
    threads = [threading.Thread(target=lambda: found.append(language_of("Dzień dobry", ALL, "en"))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == ["pl"] * 8
