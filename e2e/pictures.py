"""Pictures of every page: `python -m e2e.pictures [scene …]`, into `pictures/`, with an index to look through.

Phones and a laptop, light and dark, the main pages in every language. `./dev mails` shows the mails.
"""

import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

from e2e.person import Device, People
from e2e.scenes import SCENES, Scene
from tests.support.browser import chromium
from tests.support.serving import ROOT, serving

INTO = ROOT / "pictures"
SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
DEVICES: tuple[Device, ...] = ("iphone", "pixel", "laptop")
# English on every device; the others on the main pages, where a line breaks first.
LANGUAGES: dict[str, tuple[Device, ...]] = {"en": DEVICES, "es": ("iphone",), "ar": ("iphone", "laptop")}
MAIN = (
    "front_door",
    "contact",
    "about_wrong",
    "card_full",
    "card_new",
    "download",
    "inbox",
    "poster_a4",
    "profile",
    "rewards",
    "code",
)


def take(people: People, scene: Scene, device: Device, language: str) -> list[Path]:
    """A scene in both colour schemes; the files."""
    files = []
    options = {"locale": language, "reduced_motion": "reduce", **scene.options}
    with people.one(device, **options) as person:
        scene.play(person)
        for scheme in SCHEMES:
            person.page.emulate_media(color_scheme=scheme)
            # Colours change over some frames, and a picture in between shows neither scheme.
            person.page.wait_for_timeout(150)
            person.page.evaluate("Promise.all(document.getAnimations().map((a) => a.finished))")
            file = INTO / device / f"{scene.name}-{language}-{scheme}.png"
            person.page.screenshot(path=file, full_page=True, scale="css" if device == "laptop" else "device")
            files.append(file)
    return files


def take_all(names: Iterable[str]) -> list[Path]:
    files: list[Path] = []
    with (
        tempfile.TemporaryDirectory(prefix="pasito-pictures-") as folder,
        serving(f"sqlite:///{folder}/pasito.db", Path(folder), command=("demo",)) as server,
        chromium() as (playwright, browser),
    ):
        people = People(playwright, browser, server)
        for name in names:
            scene = SCENES[name]
            for language, devices in LANGUAGES.items():
                for device in devices if language == "en" or name in MAIN else ():
                    if not scene.only or device in scene.only:
                        files += take(people, scene, device, language)
            print(".", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    return files


def write_index(files: list[Path]) -> Path:
    """One page with all the pictures beside one another."""
    figures = "\n".join(
        f'<figure><a href="{name}"><img src="{name}" loading="lazy" alt=""></a><figcaption>{name}</figcaption></figure>'
        for name in (file.relative_to(INTO).as_posix() for file in files)
    )
    index = INTO / "index.html"
    index.write_text(
        "<!doctype html><meta charset=utf-8><title>Pasito in pictures</title>"
        "<style>body{font:13px system-ui;background:#888;display:flex;flex-wrap:wrap;gap:1rem}"
        f"figure{{margin:0;width:18rem}}img{{width:100%}}</style>\n{figures}\n"
    )
    return index


def main() -> None:
    chosen = sys.argv[1:] or list(SCENES)
    if unknown := set(chosen) - SCENES.keys():
        sys.exit(f"There is no scene {', '.join(sorted(unknown))}. There are: {', '.join(SCENES)}.")
    started = time.monotonic()
    files = take_all(chosen)
    index = write_index(files)
    print(f"{len(files)} pictures in {time.monotonic() - started:.0f} s: open {index.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
