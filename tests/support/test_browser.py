from tests.support.browser import async_chromium, chromium

PAGE = "data:text/html,<meta name=viewport content=width=device-width><h1>Three little steps</h1>"


def test_it_shows_a_page_as_a_phone_would() -> None:
    with chromium() as (playwright, browser):
        context = browser.new_context(**playwright.devices["iPhone 13"])
        page = context.new_page()
        page.goto(PAGE)
        assert page.get_by_role("heading").inner_text() == "Three little steps"
        assert page.evaluate("innerWidth") == 390
        assert "iPhone" in page.evaluate("navigator.userAgent")


async def test_it_works_in_an_async_test_too() -> None:
    async with async_chromium() as (_, browser):
        page = await browser.new_page()
        await page.goto(PAGE)
        assert await page.get_by_role("heading").inner_text() == "Three little steps"
