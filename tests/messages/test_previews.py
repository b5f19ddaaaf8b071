"""Everything that can be sent can be looked at first."""

import inspect

from web.foundation.rendering import Renderer
from web.messages import texts
from web.messages.envelope import Message
from web.messages.mime import wire_mail
from web.messages.previews import previews


def test_every_message_has_a_preview_in_every_language(renderer: Renderer) -> None:
    composers = {
        name.replace("_", "-")
        for name, function in inspect.getmembers(texts, inspect.isfunction)
        if inspect.signature(function).return_annotation is Message and not name.startswith("_")
    }
    shown = previews(renderer, ("en", "es"))
    assert composers
    for locale in ("en", "es"):
        names = {name for name, message in shown if message.locale == locale}
        for composer in composers:
            assert {f"{composer}-usual", f"{composer}-hard"} <= names


def test_no_two_previews_of_a_language_share_a_name(renderer: Renderer) -> None:
    names = [(message.locale, name) for name, message in previews(renderer)]
    assert len(names) == len(set(names))


def test_every_mail_of_the_previews_can_be_written_as_a_file(renderer: Renderer) -> None:
    for _, message in previews(renderer, ("en",)):
        if message.channel == "mail":
            assert wire_mail(message).content.startswith(b"From: ")
