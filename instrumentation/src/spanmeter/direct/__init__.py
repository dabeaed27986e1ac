"""Calls that go straight to a provider, metered in the application: `instrument(direct=True)`.

Each becomes the CLIENT span and the GenAI metrics that the gateway would make of it. Cost is not
among them: prices are the gateway's, which has the list. Needs the extra `spanmeter[direct]`.
"""
