r"""The patterns by which places are read, in the order in which they are tried (see PLACES.md).

They are regular expressions over words that one space parts, and match whole words only. Short names stand in braces:
`{side}` and the like capture what `ops.ssc.places.grammar` reads, the others are lists of words.
"""

import re

STATED = {
    "side": "to: left right",
    "level": "to: top bottom upper lower highest lowest higher",
    "any": "to: left right top bottom upper lower front back closest nearest farthest",
    "size": "to: biggest bigger smallest smaller tiniest littlest tallest taller longest shortest shorter",
    "line": "to: top bottom upper lower front back middle center first second third fourth last",
    "upright": "to: above below under underneath beneath",
    "depth": "to: front back behind closest nearest closer nearer farthest farther",
    "near": "to: closest nearest closer nearer close near",
    "hour": "to: one two three four five six 12 11 10 9 8 7 6 5 4 3 2 1",
    "rank": "rank: first second third fourth fifth sixth seventh eighth last",
    "count": "rank: one two three four five six 1 2 3 4 5 6",
}
"""Name -> group and words of what a pattern captures."""
LISTS = {
    "photo": "photo photos screen frame page shot view group row line pack bunch scene us whole",
    "us": "us you me viewer camera cam camer photographer cameraman photo screen front bottom observer here view",
    "limb": "hand hands handed arm arms leg legs foot feet eye eyes ear ears knee shoulder wrist elbow thumb finger"
    " cheek hip paw",
    "ours": "his her hers its their whose",
    "tone": "white black red blue green pink purple yellow orange brown gray grey tan teal dark light striped floral",
    "turn": "looking look looks facing faces turned turning turns pointing pointed points heading headed going leaning"
    " staring moving swinging",
    "close": "next behind beside above below under underneath by near at against across now there here after",
    "seen": "head heads shirt jersey neck hair person man woman girl boy guy lady couch chair chairs",
    "limbs": "leg legs wheel wheels paw paws teeth tire tires foot feet",
    "feature": "chin mouth eye eyes nose arm face lap shoulder shoulders",
    "raised": "close cut standing sitting pulled zipped holding held picking covered hands arms arm hand sits stands"
    " dressed",
    "one": "the a an his her its this that other another",
    "adverb": "on at in to the our my your far very most extreme all way just direct directly immediate"
    " immediately off",
}
"""Name -> words."""
NAMES = {name: f"(?:{'|'.join(words.split())})" for name, words in LISTS.items()}
NAMES |= {name: f"(?P<{said.split(': ')[0]}>{'|'.join(said.split(': ')[1].split())})" for name, said in STATED.items()}
NAMES |= {
    "the": r"(?:(?:the|our|your|a) )?",
    "at": rf"(?:{NAMES['adverb']} )*",
    "nowhere": r"(?P<to>)",
    "loose": "".join(
        f"(?<!{word} )" for word in ("the", "on", "far", "to", "top", "bottom", "upper", "lower", "front", "back")
    ),
}

SILENT = (
    r"{ours} (?:left|right|front|back|top|bottom)(?: {limb})?",
    r"(?:left|right) {limb}(?: is| are)? (?:up|down|out|raised|extended|showing)",
    r"(?:in|with|using|has|holding|by|a|whose) (?:the )?(?:left|right) {limb}(?! side)",
    r"(?:left|right) (?:handed|footed)",
    r"{turn} (?:(?:away|over|down|up|off) )?(?:(?:to|toward|towards|at) )?{the}"
    r"(?:left|right|back|front|up|down|behind|over)"
    r"(?! (?:of|side)\b)",
    r"{loose}right(?= {close}\b)",
    r"{loose}right(?= (?:between|in front|in back|in between|in {the}(?:middle|center)|to {the}(?:left|right))\b)",
    r"(?:all_right|all right|all the way|thats right|that's right)",
    r"(?:is|are|was|has|have|only|being|got) left(?= (?:over|alone|out|to)\b)",
    r"left (?:over|overs|alone)",
    r"(?:in|wearing|with) (?:(?:a|an|the|her|his) )?(?:\w+ ){0,2}top"
    r"(?! (?:of|left|right|corner|row|shelf|half|part)\b)",
    r"(?:tank|halter|crop|bikini|tube|polka|dot|sleeveless|table|counter|stove|roof|lap|flat|half) top",
    r"{tone} top(?! (?:left|right|corner|row|of)\b)",
    r"back (?:is )?(?:turned|to|facing|towards|toward) (?:us|you|me|camera|the (?:camera|viewer))",
    r"(?:with|from|on) {ours} (?:back|side)",
    r"back of {the}(?:(?:his|her|their) )?(?:\w+ )?{seen}",
    r"(?:upper|lower) (?:body|half|part) (?:of|is)",
    r"(?:back|racer) (?:pack|rest|back)|head back",
    r"left on (?:a|the|his|her) plate",
    r"(?:turned|facing|going|walking|laying|lying|leaning|holding|looking|come|coming) back",
    r"(?:first|second|third) (?:base|baseman)",
    r"(?:no|number|numbers) (?:\d+|one|two|three)",
    r"(?:front|back) {limbs}|middle (?:finger|aged)|back (?:end|flank)",
    r"(?:over|under|above|below|near|at|to|by) (?:{ours} )?{feature}",
    r"{raised} up",
)
"""What only looks like a place, and is struck out first."""

RULES: tuple[tuple[str, str], ...] = (
    ("clock", r"(?:(?:at|by|near) )?{hour}(?::\d\d)? o'clock"),
    (
        "ordinal",
        r"{rank} (?:to|from) last(?: (?!(?:from|on|to|in|at)\b)\w+)?(?: (?:from|on|to|in|at) {the}{any})?(?: side)?",
    ),
    (
        "row",
        r"(?:(?:in|on|from|at) )?{the}{line} (?:\w+ )?(?:row|rows|shelf|tier|level|rack)"
        r"(?: (?:from|in|on|to) (?:the )?(?P<base>top|bottom|front|back))?(?: (?:down|up|back))?",
    ),
    (
        "ordinal",
        r"{rank}(?: (?!(?:left|right|from|to|row|on|in|at|and)\b)\w+){0,3}? (?:(?:in|over|out|down|up) )?"
        r"(?:from|form|to|on|in|at|off|of) (?:(?:from|on|in) )?{the}(?:(?:far|very|extreme|bottom|top|front|back) )?"
        r"{any}"
        r"(?: hand)?(?: side)?(?: of {the}{photo})?",
    ),
    ("ordinal", r"{rank} (?:(?:one|in|most) )?{any}(?: most| side)?"),
    (
        "ordinal",
        r"{count} (?:\w+ )?(?:(?:in|over|up|down|back) )?from {the}(?:far )?{any}(?: side)?",
    ),
    ("ordinal", r"from (?:the )?{any} (?:(?:the|number) )?{rank}"),
    ("ordinal", r"{any} (?:(?:side|most|number|the) )*{rank}(?: (?:in|one|over))?"),
    ("ordinal", r"{rank} {size}"),
    ("between", r"(?:sandwiched )?(?:in )?between"),
    ("middle", r"{at}(?:middle|center) of {the}{photo}"),
    ("between", r"{at}(?:middle|center) of(?= (?:the )?(?:two|three|both|other|others|all)\b)"),
    ("depth", r"{at}(?P<to>front) of {the}{us}"),
    ("before", r"(?:(?:directly|just|standing|sitting) )?(?:(?:in|on|at) )?(?:the )?front of"),
    ("before", r"ahead of"),
    ("behind", r"(?:(?:directly|just|standing|sitting) )?(?:behind|in (?:the )?back of)(?= \w)"),
    ("depth", r"{near}(?: (?:to|towards|toward))? {the}{us}"),
    ("depth", r"(?P<to>farthest|farther)(?: away)?(?: from {the}{us})"),
    ("depth", r"(?:far|farthest|farther|way) (?P<to>away|back|off)(?: from {the}{us})?"),
    ("depth", r"{at}(?P<to>distance)"),
    ("near", r"(?:closest|nearest|closer|close|next|adjacent) to"),
    (
        "near",
        r"(?:closest|nearest|closer|near|beside|nearby|by|next)(?= {one}\b)",
    ),
    ("near", r"(?:beside|alongside|near|touching|against|next|by)(?= \w)"),
    ("side", r"{at}{side}(?: (?:most|hand))*(?: (?:side|part|edge|end|half|portion|section))? (?:of|in) {the}{photo}"),
    ("beside", r"{at}{side}(?: hand)?(?: side)? of(?= \w)"),
    ("beside", r"(?:to|on) (?:the )?(?P<anchor>\w+)'s {side}"),
    ("beside", r"(?:(?:directly|just) )?{upright}(?= \w)"),
    ("beside", r"on (?P<to>top) of(?! (?:the )?{photo})"),
    ("beside", r"(?P<to>higher|lower) than"),
    ("corner", r"{at}{nowhere}corner"),
    ("end", r"(?:on|at) (?:the )?(?:(?:very|far) )?{nowhere}(?:end|edge)(?! of)"),
    ("side", r"{at}{side}(?: (?:most|side|one|hand))*(?: of)?"),
    ("side", r"{at}{level}(?: (?:most|side|half|part|one))*(?: of {the}{photo})?"),
    ("side", r"{upright}$"),
    ("side", r"(?:way|far|high|up) (?P<to>up|low)"),
    ("middle", r"{at}(?:middle|center)(?: (?:most|one))?(?: of)?"),
    (
        "depth",
        r"{at}(?:up )?{depth}(?: (?:most|side|one|ground))*",
    ),
    ("depth", r"(?:the )?(?P<to>far)(?: (?:side|end))?(?! (?:left|right|from)\b)"),
    ("depth", r"^(?:the )?(?P<to>close)(?= \w+$)"),
    ("size", r"(?:the )?{size}(?: of)?"),
    ("ordinal", r"{rank}"),
)
"""Kind of place and pattern; the words of each match are struck out before the next pattern is tried."""


def compiled(pattern: str) -> re.Pattern[str]:
    """A pattern with its names filled in, which matches whole words only."""
    named = re.sub(r"\{([a-z]+)\}", lambda match: NAMES[match[1]], pattern)
    return re.compile(rf"(?<!\S)(?:{named})(?!\S)")
