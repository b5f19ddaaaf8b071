"""Google's side of its callbacks: root and intermediate keys, messages signed as ECv2SigningOnly says, and forgeries.

After Tink's PaymentMethodTokenSender: every part is preceded by its length in four bytes, little endian; signatures
are ECDSA over P-256 with SHA-256, in DER and base64.
"""

import base64
import json
import secrets
import time
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

SENDER, PROTOCOL = "GooglePayPasses", "ECv2SigningOnly"
DAY = 86_400_000

Envelope = dict[str, Any]


class Signer:
    """Holds a root key, and signs messages for one issuer. Times are Unix milliseconds."""

    def __init__(self, issuer_id: str) -> None:
        self.issuer_id = issuer_id
        self.root = ec.generate_private_key(ec.SECP256R1())
        self.root_expires = now() + 3650 * DAY

    def keys(self) -> dict[str, Any]:
        """What the keys' address answers: this root, and one of another protocol beside it."""
        other = ec.generate_private_key(ec.SECP256R1())
        return {
            "keys": [
                {"keyValue": public(other), "protocolVersion": "ECv1"},
                {
                    "keyValue": public(self.root),
                    "protocolVersion": PROTOCOL,
                    "keyExpiration": str(self.root_expires),
                },
            ]
        }

    def message(
        self, event: str, object_id: str, *, class_id: str = "", at: int | None = None, nonce: str = ""
    ) -> dict[str, Any]:
        """What Google tells of a `save` or a `del` that happened `at`: valid for an hour from then."""
        return {
            "classId": class_id or f"{self.issuer_id}.class",
            "objectId": object_id,
            "eventType": event,
            "expTimeMillis": (now() if at is None else at) + 3_600_000,
            "count": 1,
            "nonce": nonce or secrets.token_urlsafe(16),
        }

    def envelope(
        self,
        message: dict[str, Any],
        *,
        root: ec.EllipticCurvePrivateKey | None = None,
        intermediate_expires: int | None = None,
        sender: str = SENDER,
        recipient: str | None = None,
        protocol: str = PROTOCOL,
    ) -> Envelope:
        """A message signed all the way. The arguments make it one that nobody shall believe."""
        intermediate = ec.generate_private_key(ec.SECP256R1())
        expires = now() + DAY if intermediate_expires is None else intermediate_expires
        signed_key = json.dumps({"keyValue": public(intermediate), "keyExpiration": str(expires)})
        signed_message = json.dumps(message)
        return {
            "signature": sign(
                intermediate,
                sender,
                self.issuer_id if recipient is None else recipient,
                protocol,
                signed_message,
            ),
            "intermediateSigningKey": {
                "signedKey": signed_key,
                "signatures": [sign(root or self.root, sender, protocol, signed_key)],
            },
            "protocolVersion": protocol,
            "signedMessage": signed_message,
        }

    def forgeries(self, message: dict[str, Any]) -> dict[str, bytes]:
        """The message in every way in which it must not be believed, by what is wrong with it."""
        stranger = ec.generate_private_key(ec.SECP256R1())
        good = self.envelope(message)
        key = good["intermediateSigningKey"]
        flipped = "save" if message["eventType"] == "del" else "del"
        wrong: dict[str, Envelope] = {
            "another root": self.envelope(message, root=stranger),
            "another sender": self.envelope(message, sender="GooglePayPassesX"),
            "another recipient": self.envelope(message, recipient="1"),
            # The parts run together as the true ones do, so that only their lengths tell them apart.
            "parts of other lengths": self.envelope(
                message, sender=SENDER + self.issuer_id[:1], recipient=self.issuer_id[1:]
            ),
            "another protocol": self.envelope(message, protocol="ECv1"),
            "another protocol's name": good | {"protocolVersion": "ECv2"},
            "an expired intermediate key": self.envelope(message, intermediate_expires=now() - 1000),
            "an expired message": self.envelope(message | {"expTimeMillis": now() - 1000}),
            "an altered message": good | {"signedMessage": json.dumps(message | {"eventType": flipped})},
            "another's signature": good | {"signature": self.envelope(message)["signature"]},
            "an empty signature": good | {"signature": ""},
            "no signature": {name: value for name, value in good.items() if name != "signature"},
            "an unsigned key": good | {"intermediateSigningKey": key | {"signatures": []}},
            "a signature that is no base64": good | {"signature": "***"},
            "a key of our own": good
            | {
                "intermediateSigningKey": key
                | {"signedKey": json.dumps({"keyValue": public(stranger), "keyExpiration": str(now() + DAY)})}
            },
            "a key that is none": good | {"intermediateSigningKey": key | {"signedKey": "{}"}},
        }
        forged = {name: json.dumps(envelope).encode() for name, envelope in wrong.items()}
        return forged | {
            "nothing at all": b"",
            "no JSON": b"{",
            "a list": b"[]",
            "a bare message": json.dumps(message).encode(),
        }


def sign(key: ec.EllipticCurvePrivateKey, *parts: str) -> str:
    data = b"".join(len(part.encode()).to_bytes(4, "little") + part.encode() for part in parts)
    return base64.b64encode(key.sign(data, ec.ECDSA(SHA256()))).decode()


def public(key: ec.EllipticCurvePrivateKey) -> str:
    der = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return base64.b64encode(der).decode()


def now() -> int:
    return int(time.time() * 1000)
