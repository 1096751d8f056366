"""Place words: which of some boxes a sentence means by where it says that the thing is. The rules are in PLACES.md."""
