"""A mark for merchants without a logo: the first letter of the name in a ring."""

from io import BytesIO

from PIL import Image, ImageDraw, ImageFont

SIZE = 480


def draw_mark(name: str, colour: str) -> bytes:
    """A square PNG with a transparent ground, drawn in `colour` (#rrggbb)."""
    picture = Image.new("RGBA", (SIZE, SIZE))
    pen = ImageDraw.Draw(picture)
    pen.ellipse((20, 20, SIZE - 20, SIZE - 20), outline=colour, width=22)
    font = ImageFont.load_default(SIZE // 2)
    pen.text((SIZE / 2, SIZE / 2), name.strip()[:1].upper() or "•", fill=colour, font=font, anchor="mm")
    encoded = BytesIO()
    picture.save(encoded, "PNG", optimize=True)
    return encoded.getvalue()
