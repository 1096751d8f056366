"""Which words name the same kind of thing, so that "the bus" of a sentence is looked for among the buses.

A noun outside of the table is of no known kind: it neither fits a candidate nor speaks against it. So are words for
parts and clothes ("shirt", "arm", "butt"), by which people often mean the whole.
"""

from collections.abc import Iterable
from functools import cache

MALE = "man men guy guys boy boys dude dudes gentleman groom male father dad husband mans boyfriend grandpa bro fella"
FEMALE = "woman women lady ladies girl girls female bride mother mom wife chick gal womans girlfriend grandma mama"
OTHER_PEOPLE = (
    "person people persons kid kids child children baby babies toddler infant adult player players batter hitter"
    " catcher umpire ump pitcher referee ref skater skier skiier snowboarder skateboarder boarder surfer rider biker"
    " cyclist driver cop policeman officer soldier worker chef cook waiter fireman teacher student fan spectator"
    " runner someone human passenger pedestrian bicyclist teen teenager couple jockey coach singer"
)
KINDS = """
bicycle: bike bikes bicycles cycle
car: cars van suv sedan taxi cab jeep minivan automobile
motorcycle: motorbike scooter moped motorcycles motorcyle
airplane: plane planes jet airplanes aircraft
bus: buses trolley coach
train: trains locomotive
truck: trucks pickup lorry
boat: boats ship sailboat canoe kayak yacht
traffic light: stoplight streetlight
fire hydrant: hydrant
parking meter: meter
bench: benches
bird: birds birdie duck seagull goose pigeon parrot swan owl
cat: kitten kitty cats
dog: puppy dogs pup doggy
horse: horses pony foal
sheep: lamb lambs goat ewe ram
cow: cows bull calf cattle ox buffalo
elephant: elephants elephent elephan
bear: bears cub panda
zebra: zebras zeb zebr
giraffe: giraffes giraffee girafe girrafe giraff girafee
backpack: knapsack
umbrella: umbrellas parasol unbrella umbrealla
handbag: purse bag handbags
tie: necktie bowtie
suitcase: luggage suitcases
frisbee: frisbees
skis: ski
snowboard: snowboards
sports ball: ball balls
kite: kites
skateboard: skateboards
surfboard: surfboards
tennis racket: racket racquet
bottle: bottles flask
wine glass: wineglass glass glasses
cup: cups mug mugs
fork: forks
knife: knives
spoon: spoons
bowl: bowls
banana: bananas bannana banannas
apple: apples
sandwich: sandwiches sandwhich burger sub
orange:
broccoli: brocolli brocoli broccolli
carrot: carrots
hot dog: hotdog hotdogs
pizza: pizzas
donut: donuts doughnut doughnuts
cake: cakes cupcake
chair: chairs seat stool armchair
couch: couches sofa loveseat
potted plant: plant plants houseplant
bed: beds bunk
dining table: table tables desk
toilet: toilets urinal
tv: television monitor monitors screen screens tvs
laptop: laptops computer notebook macbook
mouse:
remote: remotes
keyboard: keyboards
cell phone: phone phones cellphone
microwave:
oven: stove
toaster:
sink: sinks
refrigerator: fridge fridges freezer
book: books
clock: clocks watch
vase: vases
scissors:
teddy bear: teddy
hair drier: hairdryer
toothbrush: toothbrushes
"""
"""COCO's classes (a public list of names) and usual words for them."""
PEOPLE = "person"


@cache
def kinds_of(noun: str) -> frozenset[str]:
    """The kinds that a noun may name: a class, for people "male" or "female", too; empty when it is not known."""
    return frozenset(_table().get(noun.lower(), ()))


@cache
def _table() -> dict[str, set[str]]:
    table: dict[str, set[str]] = {}
    for line in KINDS.strip().splitlines():
        name, words = line.split(":")
        for word in (name, *words.split()):
            table.setdefault(word, set()).add(name)
    for word in OTHER_PEOPLE.split():
        table.setdefault(word, set()).add(PEOPLE)
    for words, sex in ((MALE, "male"), (FEMALE, "female")):
        for word in words.split():
            table.setdefault(word, set()).update((PEOPLE, sex))
    return table


SEXES = frozenset({"male", "female"})


def fit(wanted: Iterable[str], kinds: Iterable[str]) -> int:
    """1 where a thing of some kinds may be what is wanted, -1 where it can not, 0 where nothing is known."""
    wanted, kinds = frozenset(wanted), frozenset(kinds)
    if not wanted or not kinds:
        return 0
    if not (wanted - SEXES) & (kinds - SEXES):
        return -1
    ours, theirs = wanted & SEXES, kinds & SEXES
    return -1 if ours and theirs and not ours & theirs else 1
