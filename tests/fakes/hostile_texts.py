"""Texts that a caller may put where a name belongs, each meant to break what prints it."""

HOSTILE = (
    *('"', '\\"', "\\", "\\\\", "\\n", '\\\\"', "a\nb", "\n", "\r\n", "a\rb", "\t", '"} 1'),
    *('x"} 1\nspanmeter_calls_total{spanmeter_feature="forged"} 1e9\n#', '",le="+Inf', "{}"),
    *("# EOF", "\n# EOF\n", "# TYPE x counter", "# HELP x y", '# {trace_id="0"} 1', "1 1 1", "="),
    *("a\0b", "\0", "\x01\x02\x1b[2J", "\x7f", "\x85", "\x9b31m", "\u2028", "\u2029", "\ufeff"),
    *("\ufffe", "\u202edna", "\0\u200b", "\ud7ff", "\ue000", "\uffff", "\U0010ffff", "e\u0301"),
    *("\U0001f600", "\U0001f468\u200d\U0001f469" * 40, "\u00e9" * 200, "x" * 5000, " ", "  a  "),
    *("__name__", "null", "NaN", "+Inf", "${HOME}", "%s%n", "../../etc/passwd", "''", "a,b", "a;b"),
    *("<script>alert(1)</script>", "'; DROP TABLE series; --", "=1+1", "a|b", "a:b", "{a}", "a=b"),
)  # fmt: skip
"""None has a lone surrogate: JSON and UTF-8 as they are read here have none."""
