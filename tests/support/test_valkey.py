from redis import Redis
from redis.asyncio import Redis as AsyncRedis

from tests.support.valkey import valkey_server


async def test_each_server_is_empty_and_its_own() -> None:
    with valkey_server() as first, valkey_server() as second:
        async with AsyncRedis.from_url(first) as client:
            await client.set("taps", 1)
            assert await client.get("taps") == b"1"
        with Redis.from_url(second) as client:
            assert client.dbsize() == 0
