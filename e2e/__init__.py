"""Journeys told in a real browser, from the sign in the shop to the card in the wallet."""
