"""Renderers of people and animals, one function a class."""

from resources.toyref.renderers.canvas import HAIRS, RUBBER, SKINS, Attributes, Canvas, Point, Rgb, shade


def person(canvas: Canvas, attributes: Attributes) -> None:
    """A standing person in a shirt and trousers or a skirt, perhaps with a hat, arms up, something in one hand."""
    skin, hair = SKINS[int(attributes["skin"])], HAIRS[int(attributes["hair"])]
    shirt, below = canvas.colour(attributes["colour"]), canvas.colour(attributes["bottom"])
    head = 0.135 if attributes["age"] == "kid" else 0.092
    x, chin = 0.31, 0.10 + 2 * head
    if attributes["kind"] == "woman":
        canvas.ellipse((x, chin - 0.2 * head), (1.25 * head, 1.9 * head), hair)
    _legs(canvas, x, skin, below, skirt=attributes["kind"] == "woman")
    hands = _arms(canvas, x, chin, shirt, skin, up=attributes["pose"] == "arms up")
    canvas.polygon(
        [(x - 0.13, chin), (x + 0.13, chin), (x + 0.115, 0.62), (x - 0.115, 0.62)], shirt, pattern=attributes["pattern"]
    )
    canvas.ellipse((x, chin - head), (head * 0.92, head * 1.08), skin)
    canvas.ellipse((x, chin - 1.25 * head), (head, 0.9 * head), hair, arc=(180, 360), edge=False)
    for side in (-1, 1):
        canvas.ellipse((x + side * 0.38 * head, chin - 0.95 * head), (0.016, 0.02), RUBBER, edge=False)
    if attributes["hat"]:
        colour = canvas.colour(attributes["hat"])
        canvas.box(x - 0.95 * head, chin - 2.75 * head, x + 0.95 * head, chin - 1.6 * head, colour)
        canvas.box(x - 1.6 * head, chin - 1.75 * head, x + 1.6 * head, chin - 1.38 * head, colour)
    _held(canvas, attributes, hands[1])


def _legs(canvas: Canvas, x: float, skin: Rgb, below: Rgb, *, skirt: bool) -> None:
    for side in (-1, 1):
        foot = x + side * 0.075
        canvas.line([(x + side * 0.06, 0.6), (foot, 0.95)], skin if skirt else below, width=0.085 if skirt else 0.105)
        canvas.box(foot - 0.05, 0.94, foot + 0.06, 0.985, RUBBER, edge=False)
    if skirt:
        canvas.polygon([(x - 0.11, 0.58), (x + 0.11, 0.58), (x + 0.2, 0.8), (x - 0.2, 0.8)], below)
    else:
        canvas.box(x - 0.115, 0.58, x + 0.115, 0.68, below, edge=False)


def _arms(canvas: Canvas, x: float, chin: float, shirt: Rgb, skin: Rgb, *, up: bool) -> list[Point]:
    hands: list[Point] = []
    for side in (-1, 1):
        shoulder = (x + side * 0.11, chin + 0.05)
        elbow = (x + side * 0.22, chin - 0.02 if up else chin + 0.15)
        hand = (x + side * 0.235, 0.07 if up else chin + 0.29)
        canvas.line([shoulder, elbow], shirt, width=0.075)
        canvas.line([elbow, hand], skin, width=0.06)
        canvas.ellipse(hand, (0.036, 0.036), skin, edge=False)
        hands.append(hand)
    return hands


def _held(canvas: Canvas, attributes: Attributes, hand: Point) -> None:
    x, y = hand
    if attributes["held"] == "bag":
        canvas.line([(x - 0.05, y + 0.1), (x, y), (x + 0.05, y + 0.1)], RUBBER, width=0.02)
        canvas.box(x - 0.075, y + 0.07, x + 0.075, y + 0.24, canvas.colour(attributes["held colour"]))
    elif attributes["held"] == "balloon":
        canvas.line([(x, y), (x + 0.09, 0.22)], (230, 230, 230), width=0.012)
        canvas.ellipse((x + 0.09, 0.12), (0.095, 0.118), canvas.colour(attributes["held colour"]))
    elif attributes["held"] == "racket":
        canvas.line([(x, y), (x + 0.06, y - 0.12)], (90, 60, 40), width=0.03)
        canvas.ellipse((x + 0.095, y - 0.2), (0.07, 0.1), (225, 225, 205), angle=20)
        canvas.line([(x + 0.06, y - 0.2), (x + 0.13, y - 0.2)], (120, 120, 120), width=0.01)


def dog(canvas: Canvas, attributes: Attributes) -> None:
    """A dog with hanging ears and a snout, standing or sitting, perhaps with a collar."""
    fur, sitting = canvas.colour(attributes["colour"]), attributes["pose"] == "sitting"
    dark = shade(fur)
    if sitting:
        canvas.line([(0.3, 0.86), (0.12, 0.7)], fur, width=0.09)
        canvas.ellipse((0.46, 0.78), (0.22, 0.19), fur, pattern=attributes["pattern"])
        canvas.polygon(
            [(0.36, 0.7), (0.62, 0.3), (0.86, 0.4), (0.84, 0.95), (0.7, 0.95), (0.62, 0.8)],
            fur,
            pattern=attributes["pattern"],
        )
        head = (0.8, 0.28)
    else:
        canvas.line([(0.2, 0.5), (0.07, 0.24)], fur, width=0.085)
        for x in (0.26, 0.38, 0.76, 0.88):
            canvas.box(x - 0.05, 0.62, x + 0.05, 0.97, fur)
        canvas.ellipse((0.56, 0.55), (0.42, 0.2), fur, pattern=attributes["pattern"])
        canvas.polygon([(0.74, 0.5), (0.84, 0.2), (1.04, 0.36), (0.94, 0.62)], fur, edge=False)
        head = (0.96, 0.27)
    if attributes["part"] == "collar":
        canvas.line(
            [(head[0] - 0.18, head[1] + 0.12), (head[0] + 0.06, head[1] + 0.24)],
            canvas.colour(attributes["part colour"]),
            width=0.1,
        )
    canvas.ellipse((head[0] + 0.14, head[1] + 0.06), (0.17, 0.085), fur, angle=10)
    canvas.ellipse(head, (0.17, 0.155), fur)
    canvas.ellipse((head[0] + 0.29, head[1] + 0.06), (0.045, 0.045), RUBBER, edge=False)
    canvas.ellipse((head[0] - 0.1, head[1] + 0.04), (0.07, 0.17), dark, angle=12)
    canvas.ellipse(
        (head[0] + 0.06, head[1] - 0.04), (0.028, 0.03), (250, 250, 250) if sum(fur) < 200 else RUBBER, edge=False
    )


def cat(canvas: Canvas, attributes: Attributes) -> None:
    """A cat with pointed ears and a long raised tail, standing or sitting, perhaps with a collar."""
    fur, sitting = canvas.colour(attributes["colour"]), attributes["pose"] == "sitting"
    if sitting:
        canvas.line([(0.34, 0.9), (0.14, 0.86), (0.08, 0.66), (0.16, 0.5)], fur, width=0.085)
        canvas.ellipse((0.5, 0.72), (0.24, 0.27), fur, pattern=attributes["pattern"])
        for x in (0.46, 0.62):
            canvas.box(x - 0.045, 0.7, x + 0.045, 0.97, fur)
        head = (0.56, 0.34)
    else:
        canvas.line([(0.2, 0.56), (0.08, 0.4), (0.08, 0.16), (0.18, 0.05)], fur, width=0.08)
        for x in (0.26, 0.37, 0.66, 0.77):
            canvas.box(x - 0.042, 0.66, x + 0.042, 0.97, fur)
        canvas.ellipse((0.5, 0.6), (0.35, 0.165), fur, pattern=attributes["pattern"])
        head = (0.84, 0.4)
    if attributes["part"] == "collar":
        canvas.ellipse((head[0] - 0.02, head[1] + 0.17), (0.15, 0.075), canvas.colour(attributes["part colour"]))
    for side in (-1, 1):
        ear = head[0] + side * 0.12
        canvas.polygon(
            [(ear - 0.085, head[1] - 0.08), (ear + side * 0.05, head[1] - 0.3), (ear + 0.085, head[1] - 0.08)], fur
        )
    canvas.ellipse(head, (0.215, 0.18), fur)
    for side in (-1, 1):
        canvas.ellipse((head[0] + side * 0.085, head[1] - 0.02), (0.042, 0.042), (150, 220, 90), edge=False)
        canvas.ellipse((head[0] + side * 0.085, head[1] - 0.02), (0.018, 0.036), RUBBER, edge=False)
    canvas.ellipse((head[0], head[1] + 0.07), (0.03, 0.022), (236, 140, 150), edge=False)


def bird(canvas: Canvas, attributes: Attributes) -> None:
    """A bird with a beak, flying with its wings spread or standing."""
    paint = canvas.colour(attributes["colour"])
    wing = shade(paint, 3 / 4)
    canvas.polygon([(0.26, 0.52), (0.02, 0.44), (0.02, 0.66), (0.26, 0.66)], wing)
    flying = attributes["pose"] == "flying"
    if flying:
        canvas.polygon([(0.5, 0.5), (0.3, 0.03), (0.56, 0.1), (0.74, 0.5)], wing)
    else:
        for x in (0.48, 0.62):
            canvas.line([(x, 0.74), (x, 0.96), (x + 0.07, 0.96)], (236, 150, 40), width=0.045)
    canvas.ellipse((0.54, 0.58), (0.33, 0.2), paint, pattern=attributes["pattern"])
    if flying:
        canvas.polygon([(0.46, 0.6), (0.34, 0.97), (0.54, 0.9), (0.68, 0.6)], wing)
    else:
        canvas.ellipse((0.44, 0.58), (0.2, 0.1), wing, angle=12)
    canvas.polygon([(0.98, 0.34), (1.18, 0.42), (0.98, 0.48)], (244, 160, 30))
    canvas.ellipse((0.88, 0.4), (0.16, 0.15), paint)
    canvas.ellipse((0.92, 0.36), (0.03, 0.034), (250, 250, 250) if sum(paint) < 200 else RUBBER, edge=False)
