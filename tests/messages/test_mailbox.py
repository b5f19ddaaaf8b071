from web.messages.envelope import Message
from web.messages.mailbox import MailboxSender
from web.messages.sending import Sent


async def test_the_mailbox_keeps_mail_and_sms_in_order_and_says_sent() -> None:
    kept: list[Message] = []

    async def keep(message: Message) -> None:
        kept.append(message)

    sender = MailboxSender(keep)
    mail = Message(id="a", channel="mail", to="ana@example.com", locale="en", text="Hello")
    sms = Message(id="b", channel="sms", to="+34600000000", locale="en", text="Hello")
    assert [await sender.send(mail), await sender.send(sms)] == [Sent(), Sent()]
    assert kept == [mail, sms]
