"""What proves that a request is ours, and of which moment. README.md shows how a receiver checks it."""

import base64
import hmac

USER_AGENT = "Pasito-Webhooks/1"


def headers_for(name: str, delivery_id: str, body: bytes, secrets: list[bytes], at: int) -> dict[str, str]:
    """The headers of one request. `secrets` sign it, the oldest first; `at` is now, in seconds since 1970.

    JeriCommerce's header has room for one signature; the secret that the receiver certainly knows makes it.
    Ours holds one for each, and the moment, without which a request that was overheard could be sent once more.
    """
    stamped = str(at).encode() + b"." + body
    signatures = [f"v1={hmac.digest(secret, stamped, 'sha256').hex()}" for secret in secrets]
    return {
        "content-type": "application/json",
        "user-agent": USER_AGENT,
        "x-jericommerce-event-type": name,
        "x-jericommerce-hmac-sha256": base64.b64encode(hmac.digest(secrets[0], body, "sha256")).decode(),
        "x-pasito-signature": ",".join([f"t={at}", *reversed(signatures)]),
        "x-pasito-delivery": delivery_id,
    }
