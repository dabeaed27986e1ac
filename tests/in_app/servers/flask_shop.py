"""A Flask application as its developers would write it, for `test_flask` to serve with gunicorn."""

import os
from collections.abc import Iterator

import openai
from flask import Flask, request, stream_with_context

import spanmeter
from spanmeter.wsgi import FeatureMiddleware

GATEWAY = os.environ["SHOP_GATEWAY"]

spanmeter.instrument(GATEWAY)
app = Flask(__name__)
app.wsgi_app = FeatureMiddleware(app.wsgi_app, {"/chat/*": "support-chat", "/search": "search"})  # type: ignore[method-assign] # Flask's documented way


def ask() -> str:
    """Ask the model that the request names, as no caller of ours would let it."""
    with openai.OpenAI(base_url=f"{GATEWAY}/v1", api_key="none", max_retries=0) as client:
        answer = client.chat.completions.create(
            model=request.args["model"],
            messages=[{"role": "user", "content": "hi"}],
            extra_headers={"x-script": "chat"},
        )
    return str(answer.id)


@app.get("/healthz")
def healthz() -> str:
    """Say that it serves."""
    return "ok"


@app.get("/chat/whole")
@app.get("/search")
@app.get("/elsewhere")
def whole() -> str:
    """Ask, then answer."""
    return ask()


@app.get("/chat/tagged")
@spanmeter.task("triage")
@spanmeter.tags(team="support")
def tagged() -> str:
    """Ask within a task of its own."""
    return ask()


@app.get("/chat/streamed")
def streamed() -> Iterator[str]:
    """Ask while the answer is being read."""

    @stream_with_context
    def pieces() -> Iterator[str]:
        yield "first "
        yield ask()

    return pieces()
