"""The errors of the light package, and the root of the gateway's own tree.

SpanmeterError
+- InvalidAttribution     a feature, task or tag beyond its grammar, where strictness is asked for
+- InvalidSetting         what the in-app package was told to do cannot be done
+- UnreadableBody         a body that a dialect cannot read as JSON of its shape
"""


class SpanmeterError(Exception):
    """Root of everything this project raises on purpose."""


class InvalidAttribution(SpanmeterError):
    """Refuse an attribution in strict mode or in an application's own code.

    `code` is `invalid_tag` or `too_many_tags`, and in code `invalid_feature` or `invalid_task`.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class InvalidSetting(SpanmeterError):
    """Say which setting of the in-app package is wrong, and what it expects."""


class UnreadableBody(SpanmeterError):
    """Say that a request body is not a JSON object of the dialect's shape; never quotes it."""
