"""The project's own templates, rendered as the app does."""

from pathlib import Path

import pytest

from web.foundation.assets import Assets
from web.foundation.languages import Catalogues
from web.foundation.rendering import Renderer

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def renderer() -> Renderer:
    # Mails use no asset; "development" compiles only the templates that are asked for.
    return Renderer(ROOT / "templates", Catalogues.load(ROOT / "locales"), Assets({}, ""), development=True)
