"""Words that say a short text's language better than its letters do: greetings, answers, and what people try out first.

A word that several of these languages write alike stands at each of them, or at none.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

_WORDS = {
    "ar": "مرحبا أهلا شكرا نعم السلام عليكم صباح الخير كيف حالك",
    "bg": "здравейте здравей благодаря моля добър ден довиждане аз това няма много къде кога",
    "ca": "bon dia gràcies adéu bona nit si us plau què aquesta molt",
    "cs": "ahoj dobrý děkuji díky prosím ano jak se máš dobrou noc nashledanou jsem světe",
    "da": "hej tak farvel godmorgen hvordan jeg ikke hvad det er verden",
    "de": (
        "hallo danke bitte guten morgen tag abend nacht tschüss ja nein wie geht ich bin nicht und ist das der die "
        "willkommen auf wiedersehen welt heute bis was wir sie ein eine"
    ),
    "el": "γεια καλημέρα ευχαριστώ παρακαλώ ναι όχι",
    "en": (
        "hello hi hey thanks thank you please yes no good morning night evening bye goodbye welcome how are what the "
        "is this and world test testing my name it sorry one two three today speech text voice where when who why "
        "your of to for with i am"
    ),
    "es": (
        "hola gracias por favor sí buenos buenas días noches tardes adiós qué cómo estás está soy el la los las mundo "
        "bienvenido hasta luego usted muy bien y no"
    ),
    "et": "tere aitäh jah hommikust head aega palun",
    "fa": "سلام ممنون خوبی متشکرم بله خداحافظ",
    "fi": "hei kiitos moi terve hyvää huomenta päivää kyllä ei mitä kuuluu näkemiin maailma minä olen",
    "fr": (
        "bonjour salut merci oui non bonsoir au revoir comment ça va je suis et le la les est bienvenue s'il vous "
        "plaît monde très bien bonne nuit aujourd'hui madame monsieur un une des"
    ),
    "he": "שלום תודה כן בוקר טוב",
    "hi": "नमस्ते धन्यवाद हाँ नहीं क्या है",
    "hr": "bok hvala molim dobar dan kako si da doviđenja jutro svijete",
    "hu": "szia helló köszönöm igen nem jó napot kívánok reggelt viszlát hogy vagy világ kérem",
    "id": "halo terima kasih selamat pagi siang malam apa kabar ya tidak dunia saya",
    "it": (
        "ciao grazie prego sì buongiorno buonasera buona notte arrivederci come stai ti amo sono il lo gli mondo per favore "
        "benvenuto oggi questo questa che è non"
    ),
    "lt": "labas ačiū taip ne prašau laba diena",
    "lv": "paldies labdien labrīt sveiki jā lūdzu",
    "nl": (
        "hallo dank bedankt goedemorgen goedenavond dag tot ziens hoe gaat het ik ben niet een wereld graag "
        "alstublieft ja nee"
    ),
    "no": "hei takk hallo god morgen natt hvordan jeg ikke ja nei ha det verden",
    "pl": (
        "cześć czesc dzień dzien dobry dziękuję dziekuje proszę prosze tak nie witaj witam hej siema jak się masz do "
        "widzenia dobranoc świecie to jest na i w z mam co kto gdzie kiedy dlaczego bardzo dzięki jestem żegnaj miło"
    ),
    "pt": (
        "olá ola obrigado obrigada bom dia boa noite tarde por favor sim não tchau adeus como você mundo muito bem e o a os"
    ),
    "ro": "bună salut mulțumesc mersi da nu vă rog ziua dimineața noapte ce faci sunt lume la revedere",
    "ru": (
        "привет здравствуйте спасибо пожалуйста да нет доброе утро добрый день как дела пока мир это я не и что до свидания"
    ),
    "sk": "ahoj ďakujem prosím áno dobrý deň ako sa máš svet dovidenia nie",
    "sl": "dober dan hvala lepa kako ste živjo prosim nasvidenje",
    "sr": "здраво хвала молим добар дан како си да zdravo свете",
    "sw": "habari asante sana jambo karibu ndiyo hapana",
    "sv": "hej tack god morgon natt hur mår du jag är inte ja nej världen och det hejdå välkommen",
    "tr": (
        "merhaba selam teşekkürler teşekkür ederim evet hayır günaydın iyi geceler nasılsın nasılsınız dünya lütfen ben bir"
    ),
    "uk": "привіт дякую так ні добрий ранок день вечір будь ласка як справи світ це я не і що де побачення вітаю слава",
    "ur": "شکریہ سلام ہاں نہیں آپ کیسے ہیں",
    "vi": "xin chào cảm ơn vâng không tạm biệt tôi là",
}


def _languages() -> Mapping[str, frozenset[str]]:
    languages: dict[str, set[str]] = defaultdict(set)
    for language, words in _WORDS.items():
        for word in words.split():
            languages[word].add(language)
    return {word: frozenset(found) for word, found in languages.items()}


#: The languages of each word, lower case.
LANGUAGES_OF_WORDS: Mapping[str, frozenset[str]] = _languages()
