"""Words of English as `sameness` reads them: which count, which do not, and which are one.

Plain lists. A language that is not here is compared word by word, and nothing of it is dropped.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

NEGATIONS: Final = frozenset({
    "not", "no", "never", "none", "nobody", "nothing", "neither", "nor", "without", "except",
    "unless", "exclude", "excluding",
})  # fmt: skip
OPPOSITES: Final = frozenset({
    "before", "after", "first", "last", "more", "less", "fewer", "most", "least", "max", "min",
    "maximum", "minimum", "highest", "lowest", "high", "low", "above", "below", "over", "under",
    "up", "down", "left", "right", "north", "south", "east", "west", "northern", "southern",
    "eastern", "western", "increase", "decrease", "rise", "fall", "raise", "lower", "gain",
    "lose", "win", "add", "remove", "insert", "enable", "disable", "lock", "unlock", "on", "off",
    "open", "close", "start", "stop", "true", "false", "always", "with", "buy", "sell", "borrow",
    "lend", "import", "export", "encode", "decode", "encrypt", "decrypt", "compress",
    "decompress", "upload", "download", "ascending", "descending", "old", "new", "oldest",
    "newest", "latest", "earliest", "best", "worst", "better", "worse", "larger", "smaller",
    "bigger", "greater", "shorter", "longer", "taller", "hot", "cold", "early", "late", "daily",
    "weekly", "monthly", "yearly", "annual", "today", "tomorrow", "yesterday", "tonight", "next",
    "previous", "past", "future", "all", "any", "only", "both", "either", "who", "whom", "whose",
    "when", "where", "why", "from", "to", "into", "than", "until", "since", "allow", "deny",
    "grant", "revoke", "accept", "reject", "include", "public", "private", "internal", "external",
    "male", "female", "he", "she", "his", "her", "himself", "herself", "husband", "wife",
    "mother", "father", "son", "daughter", "brother", "sister", "man", "woman",
})  # fmt: skip
"""Words of which the other one asks something else."""
POLITE: Final = (
    "i would like you to", "i would like to know", "i want you to", "i want to know",
    "i need you to", "i need to know", "i am wondering", "i was wondering", "i wonder",
    "can you tell me", "could you tell me", "would you tell me", "do you know", "can you please",
    "could you please", "can you", "could you", "would you", "will you", "are you able to",
    "is it possible to", "would you mind", "please tell me", "tell me", "let me know",
    "help me to", "help me", "please", "kindly", "hey", "hi", "hello", "thanks in advance",
    "thank you", "thanks", "if you can", "if possible",
)  # fmt: skip
"""What opens or closes a request and asks nothing; the longer before what is part of it."""
HOW_TO: Final = (
    "how do i", "how can i", "how could i", "how do you", "how can you", "how do we",
    "how can we", "how does one", "what is the way to",
)  # fmt: skip
"""Ways to begin that ask as "how to" does."""
IDLE: Final = frozenset({
    "a", "an", "the", "is", "are", "am", "be", "do", "does",
})  # fmt: skip
"""Words that carry nothing of their own."""
SYNONYMS: Final[Mapping[str, str]] = {
    "purchase": "buy", "begin": "start", "commence": "start", "finish": "end", "large": "big",
    "repair": "fix", "television": "tv", "photograph": "photo", "picture": "photo",
    "automobile": "car", "telephone": "phone", "movie": "film", "assist": "help", "obtain": "get",
    "display": "show", "choose": "pick", "select": "pick", "rapid": "fast", "quick": "fast",
    "calculate": "compute", "explain": "describe", "illness": "disease", "approximately": "about",
    "roughly": "about", "summarise": "summarize", "colour": "color", "organise": "organize",
    "optimise": "optimize",
}  # fmt: skip
SHORTENED: Final[Mapping[str, str]] = {
    "what's": "what is", "who's": "who is", "where's": "where is", "how's": "how is",
    "when's": "when is", "that's": "that is", "there's": "there is", "it's": "it is",
    "let's": "let us", "i'm": "i am", "i'd": "i would", "i've": "i have", "i'll": "i will",
    "you're": "you are", "we're": "we are", "they're": "they are", "can't": "can not",
    "cannot": "can not", "won't": "will not", "don't": "do not", "dont": "do not",
    "doesn't": "does not", "doesnt": "does not", "didn't": "did not", "isn't": "is not",
    "isnt": "is not", "aren't": "are not", "wasn't": "was not", "weren't": "were not",
    "shouldn't": "should not", "couldn't": "could not", "wouldn't": "would not",
    "haven't": "have not", "hasn't": "has not", "hadn't": "had not", "mustn't": "must not",
    "cant": "can not",
}  # fmt: skip
NUMBERS: Final[Mapping[str, str]] = {
    "zero": "0", "one": "1", "two": "2", "three": "3", "four": "4", "five": "5", "six": "6",
    "seven": "7", "eight": "8", "nine": "9", "ten": "10", "eleven": "11", "twelve": "12",
    "twenty": "20", "thirty": "30", "forty": "40", "fifty": "50", "hundred": "100",
    "thousand": "1000", "million": "1000000", "billion": "1000000000", "second": "2th",
    "third": "3th", "fourth": "4th", "fifth": "5th", "sixth": "6th", "seventh": "7th",
    "eighth": "8th", "ninth": "9th", "tenth": "10th",
}  # fmt: skip
NO_PLURALS: Final = frozenset({
    "news", "means", "physics", "mathematics", "economics", "politics", "species", "series",
    "always", "glasses", "address", "process", "access", "business", "class", "across", "less",
    "unless", "success",
})  # fmt: skip
"""Words that end as plurals do."""
